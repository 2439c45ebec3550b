"""A payment: the one thing that changes as a whole, and every way in which it can.

A payment that is under way always has an open attempt, or one that is to be looked up at a time;
both are committed with whatever decided that they should be. So whoever takes a payment up knows
from its rows alone what to do next, and when; and a payment without either waits for a call.

It is told in layers, each with one concern: the parts and their notes (`record`), giving back
(`refunding`), taking and releasing (`taking`), holding (`authorizing`), learning what processors
did (`settling`), and what they tell unasked: of disputes (`disputing`), of refunds (`reimbursing`)
and of holds (`hearing`). Here stand the orders that merchants and operators give.
"""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.kernel.context import CoreRequestContext, PaymentInstrument
from services.kernel.errors import Conflict, FailedPrecondition, Reason
from services.kernel.ids import PaymentId, RefundId, RefundPartId
from services.kernel.money import Money
from services.orchestrator.domain import events
from services.orchestrator.domain.attempt import Attempt, Order, Step
from services.orchestrator.domain.changes import Transition
from services.orchestrator.domain.command import Call
from services.orchestrator.domain.hearing import Hearing
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import DuePosting, Refusal
from services.orchestrator.domain.record import Standing
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import (
    ALLOWED_MOVES,
    AttemptState,
    Operation,
    PaymentState,
    PostingState,
)

# A worker is told of an order by the bus; the sweep takes it up when that has not come about.
_COMMAND_PATIENCE: Final = timedelta(seconds=2)


class Payment(Hearing):
    """One payment of one merchant, from the wish to the money."""

    @classmethod
    def create(cls, request: CoreRequestContext, now: datetime) -> "Payment":
        """A payment that is wanted, and for which nothing was done yet."""
        payment = cls(PaymentId.new(), request, Standing(PaymentState.CREATED, now, now))
        payment._cause = f"request:{request.request_id}"
        payment._notes.transitions.append(
            Transition(None, PaymentState.CREATED, payment._cause, now)
        )
        payment.record(
            events.PaymentCreated(
                occurred_at=now,
                amount=request.amount,
                method=request.instrument.method,
                user_id=request.user_id,
                issues=request.issues,
            )
        )
        return payment

    def pay_with(self, instrument: PaymentInstrument | None, return_url: str | None) -> None:
        """What the customer pays with after all, said when the payment is confirmed."""
        if instrument is not None:
            self.request = replace(self.request, instrument=instrument)
        if return_url is not None:
            self.request = replace(self.request, return_url=return_url)
        self._notes.is_request_new = self._notes.is_touched = True

    def confirm(self, plan: Plan, now: datetime) -> None:
        """Set it going: from here on there is an attempt to carry out."""
        self._require(PaymentState.CREATED, "confirmed")
        plan.check_for(self.request)
        self._cause = f"request:{self.request.request_id}"
        self._move(PaymentState.CONFIRMING, self._cause, now)
        self.plan = self._notes.plan = plan
        for planned in plan.steps:
            self._put_step(Step.planned(planned.index, planned.amount))
        self._authorize_next(now)

    def hand_over(self, now: datetime) -> None:
        """Leave it to any worker to carry out what was just confirmed."""
        self.record(
            events.PaymentConfirmRequested(occurred_at=now, payment_version=self.version + 1)
        )

    def customer_acted(self, now: datetime) -> None:
        """Have it looked up what came of an authentication."""
        waiting = self._waiting_attempt
        if waiting is None:
            self._require(PaymentState.CREATED, "confirmed")
        else:
            self._put_attempt(replace(waiting, look_up_at=now))

    def capture(self, amount: Money | None, now: datetime, cause: str) -> None:
        """Take what is held, or a part of it."""
        self._require(PaymentState.AUTHORIZED, "captured")
        self._require_rest("captured")
        self._cause = cause
        self._want(amount, now)

    def void(self, now: datetime, cause: str) -> None:
        """Let go what is held, or withdraw what waits for the customer."""
        self._cause = cause
        if (waiting := self._waiting_attempt) is not None:
            self._stand(now, withdrawn=True)
            self._cancel_action(waiting, now)
            return
        self._require(PaymentState.AUTHORIZED, "voided")
        self._require_rest("voided")
        self._let_go(now)

    def refund(
        self, amount: Money | None, reason: str, idempotency_key: str, now: datetime
    ) -> Refund:
        """Return what was taken, or a part of it."""
        return self._ask_back(amount, reason, idempotency_key, now)

    def reject_posting(self, posting: DuePosting, refusal: Refusal, now: datetime) -> None:
        """Note that the ledger will not have a posting, and that a person has to look."""
        self._notes.rejected[posting.id] = refusal
        self._posting_states.append(PostingState.NEEDS_RECONCILIATION)
        self._stand(now, needs_reconciliation=True)
        self.record(
            events.PaymentPostingRejected(
                occurred_at=now,
                posting_id=posting.id,
                idempotency_key=posting.idempotency_key,
                amount=posting.amount,
                reason=refusal.reason,
                message=refusal.message,
            )
        )

    def check_version(self, expected: int) -> None:
        """Raise Conflict if a caller has read another version; zero stands for any."""
        if expected not in (0, self._saved_version):
            raise Conflict(
                f"it is at version {self._saved_version}, not {expected} as was read",
                reason=Reason.STALE_VERSION,
                details={"state": self.state.name, "version": str(self._saved_version)},
            )

    @property
    def is_unplanned(self) -> bool:
        """Whether it is an intent, for which nothing was decided yet."""
        return self.state is PaymentState.CREATED

    @property
    def to_send(self) -> tuple[Attempt, ...]:
        """What is committed and waits to be carried out."""
        return tuple(each for each in self.attempts if each.state is AttemptState.OPEN)

    def to_look_up(self, now: datetime) -> tuple[Attempt, ...]:
        """What is to be asked about by now."""
        return tuple(
            each
            for each in self.attempts
            if not each.is_settled and each.look_up_at is not None and each.look_up_at <= now
        )

    def due_at(self, *, driven: bool) -> datetime | None:
        """When someone has to go on with it; None when only a call or an event can."""
        patience = timedelta(0) if driven else _COMMAND_PATIENCE
        moments = [each.created_at + patience for each in self.to_send]
        moments += [each.look_up_at for each in self.attempts if each.look_up_at is not None]
        return min(moments, default=None)

    @property
    def decided(self) -> frozenset[Call]:
        """The calls whose callers can be told by now what came of them."""
        sending, is_under_way = {each.part_id for each in self.to_send}, self._is_under_way
        return frozenset(
            call
            for call in self.unanswered
            if (call.refund_id is None and not is_under_way)
            or (call.refund_id is not None and self._is_through(call.refund_id, sending))
        )

    def _is_through(self, refund_id: RefundId, sending: Container[RefundPartId | None]) -> bool:
        """Whether no part of a refund is still to be sent."""
        return not any(part.id in sending for part in self._refunds[refund_id].parts)

    @property
    def _is_under_way(self) -> bool:
        """Whether what a caller waits for is being done; voids that tidy up are none of that."""
        is_open = self.state in (PaymentState.CONFIRMING, PaymentState.AUTHORIZED)
        return is_open and (
            any(each.operation is not Operation.REFUND and not each.late for each in self.to_send)
            or self._is_checked
        )

    @property
    def _is_checked(self) -> bool:
        """Whether it is being looked up what came of an authentication."""
        waiting = self._waiting_attempt
        return waiting is not None and waiting.look_up_at != self.standing.action_expires_at

    @property
    def _waiting_attempt(self) -> Attempt | None:
        waiting = (each for each in self.attempts if each.state is AttemptState.REQUIRES_ACTION)
        return next(waiting, None)

    def order_for(self, attempt: Attempt, now: datetime) -> Order:
        """All that the router needs to carry an attempt out, within the time the step has left."""
        planned = self._planned(attempt.step_id)
        timeout = planned.timeout_at(attempt.processor_id)
        left = self._time_left(attempt, now)
        return Order(
            attempt=attempt,
            payment_id=self.id,
            merchant_id=self.merchant_id,
            instrument=planned.instrument,
            return_url=self.request.return_url,
            metadata=self.request.metadata,
            # One that is found again long after it was committed is given its time anew.
            timeout=min(timeout, left) if left > timedelta(0) else timeout,
            retry_policy=planned.retry_policy,
            alternatives=self._untried(attempt.step_id),
            failover_on_soft_decline=planned.failover_on_soft_decline,
            refund_id=self._refund_id(attempt),
            traceparent=self.request.traceparent,
        )

    def _refund_id(self, attempt: Attempt) -> RefundId | None:
        """What a processor is told that it pays out; what came late has no refund of its own."""
        if attempt.operation is not Operation.REFUND:
            return None
        if attempt.part_id is None:
            return RefundId.of_hex(attempt.id.hex)
        return self._refund_of(attempt)[0].id

    def _require(self, state: PaymentState, done: str) -> None:
        if self.state is state:
            return
        moves = ALLOWED_MOVES[self.state]
        allowed = " or ".join(each.name for each in PaymentState if each in moves)
        raise FailedPrecondition(
            f"a payment in {self.state.name} cannot be {done}; only one in {state.name} can",
            reason=Reason.ILLEGAL_STATE_TRANSITION,
            details={"state": self.state.name, "allowed": allowed or "nothing"},
        )

    def _require_rest(self, done: str) -> None:
        """Refuse while something is under way that decides what there is to take."""
        if not self._is_busy():
            return
        doubt = self.standing.in_doubt_since is not None
        what = "it is not known what a processor did" if doubt else "it is being carried out"
        raise FailedPrecondition(
            f"the payment cannot be {done} now: {what}",
            reason=Reason.PAYMENT_IN_DOUBT if doubt else Reason.ILLEGAL_STATE_TRANSITION,
            details={"state": self.state.name, "allowed": "wait, then try again"},
        )
