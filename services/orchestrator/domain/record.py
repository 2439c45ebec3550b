"""What a payment is made of, and what of it was changed since it was last saved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from services.kernel.context import CoreRequestContext
from services.kernel.events import Aggregate
from services.kernel.ids import (
    AttemptId,
    MerchantId,
    PaymentId,
    StepId,
)
from services.kernel.money import Money
from services.orchestrator.domain.attempt import Attempt, Redirect, Step
from services.orchestrator.domain.changes import Changes, Notes, Transition
from services.orchestrator.domain.command import Call
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.events import FinalError
from services.orchestrator.domain.plan import Plan, PlanStep
from services.orchestrator.domain.posting import Posting, state_of_all
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import (
    Operation,
    PaymentState,
    PostingState,
    check_move,
)

_AMOUNTS: Final = (
    "held",
    "captured",
    "refunded",
    "reserved",
    "refundable",
    "disputed",
    "excess",
    "platform_fee",
    "fee_kept",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a payment changes, its parts apart."""

    state: PaymentState
    created_at: datetime
    updated_at: datetime
    capture_wanted: Money | None = None
    """What is to be taken; None while nothing is."""
    final_error: FinalError | None = None
    redirect: Redirect | None = None
    action_expires_at: datetime | None = None
    in_doubt_since: datetime | None = None
    needs_reconciliation: bool = False
    withdrawn: bool = False
    """Whether the merchant wants it no more, though it is not authorized yet."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What belongs to a payment as it was saved."""

    plan: Plan | None = None
    steps: Sequence[Step] = ()
    attempts: Sequence[Attempt] = ()
    refunds: Sequence[Refund] = ()
    disputes: Sequence[Dispute] = ()
    posting_states: Sequence[PostingState] = ()
    unanswered: Sequence[Call] = ()
    """The calls that wait for what becomes of it."""


class PaymentRecord(Aggregate):
    """The parts of a payment, and the notes of what was done to them."""

    def __init__(
        self,
        payment_id: PaymentId,
        request: CoreRequestContext,
        standing: Standing,
        parts: Parts | None = None,
        *,
        version: int = 0,
    ) -> None:
        super().__init__(version)
        parts = parts or Parts()
        self.id = payment_id
        self.request = request
        self.plan = parts.plan
        self.standing = standing
        self.unanswered = list(parts.unanswered)
        self._steps = {step.id: step for step in parts.steps}
        self._attempts = {attempt.id: attempt for attempt in parts.attempts}
        self._refunds = {refund.id: refund for refund in parts.refunds}
        self._disputes = {dispute.id: dispute for dispute in parts.disputes}
        self._posting_states = list(parts.posting_states)
        self._saved_version = version
        self._notes = Notes()

    @property
    def merchant_id(self) -> MerchantId:
        return self.request.merchant_id

    @property
    def amount(self) -> Money:
        return self.request.amount

    @property
    def state(self) -> PaymentState:
        return self.standing.state

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps in the order of the plan."""
        return tuple(self._steps.values())

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Its attempts in the order in which they were committed."""
        return tuple(self._attempts.values())

    @property
    def refunds(self) -> tuple[Refund, ...]:
        """Its refunds, oldest first."""
        return tuple(self._refunds.values())

    @property
    def disputes(self) -> tuple[Dispute, ...]:
        """Its disputes, oldest first."""
        return tuple(self._disputes.values())

    @property
    def posting_state(self) -> PostingState:
        return state_of_all(self._posting_states)

    @property
    def total_processed(self) -> Money:
        """What its steps hold or have taken."""
        return self._sum(lambda step: step.processed)

    def total(self, amount: str) -> Money:
        """One of the amounts of a step, over all of them."""
        assert amount in _AMOUNTS
        return self._sum(lambda step: getattr(step, amount))

    @property
    def is_new(self) -> bool:
        """Whether it was never saved."""
        return self._saved_version == 0

    @property
    def has_changes(self) -> bool:
        """Whether anything was done to it since it was last saved."""
        return self._notes.is_touched or self.version != self._saved_version

    def collect_changes(self) -> Changes:
        """Hand over what was done since the last time, to be saved as one."""
        notes = self._notes
        told = self.collect_events()
        if not told:
            # The version is what tells two who change the same payment apart.
            self._version += 1
        changes = Changes(
            expected_version=self._saved_version,
            plan=notes.plan,
            is_request_new=notes.is_request_new,
            transitions=tuple(notes.transitions),
            steps=tuple(self._steps[each] for each in notes.steps),
            attempts=tuple(self._attempts[each] for each in notes.attempts),
            refunds=tuple(self._refunds[each] for each in notes.refunds),
            disputes=tuple(self._disputes[each] for each in notes.disputes),
            postings=tuple(notes.postings),
            rejected=MappingProxyType(notes.rejected),
            applied=notes.applied,
            events=told,
        )
        for attempt in changes.attempts:
            if attempt.execution is not None:
                # What was told of it is written down once.
                self._attempts[attempt.id] = replace(attempt, execution=None)
        self._saved_version = self.version
        self._notes = Notes()
        return changes

    def _move(self, after: PaymentState, cause: str, now: datetime) -> None:
        before = self.standing.state
        check_move(before, after)
        self._notes.transitions.append(Transition(before, after, cause, now))
        self._stand(now, state=after)

    def _stand(self, now: datetime, **changed: Any) -> None:
        self._notes.is_touched = True
        self.standing = replace(self.standing, updated_at=now, **changed)

    def _put_step(self, step: Step) -> Step:
        self._steps[step.id] = step
        self._notes.steps[step.id] = None
        self._notes.is_touched = True
        return step

    def _put_attempt(self, attempt: Attempt) -> Attempt:
        self._attempts[attempt.id] = attempt
        self._notes.attempts[attempt.id] = None
        self._notes.is_touched = True
        return attempt

    def _put_refund(self, refund: Refund) -> Refund:
        self._refunds[refund.id] = refund
        self._notes.refunds[refund.id] = None
        self._notes.is_touched = True
        return refund

    def _put_dispute(self, dispute: Dispute) -> Dispute:
        self._disputes[dispute.id] = dispute
        self._notes.disputes[dispute.id] = None
        self._notes.is_touched = True
        return dispute

    def _add_posting(self, posting: Posting) -> None:
        self._notes.postings.append(posting)
        self._posting_states.append(PostingState.PENDING)

    def _sum(self, amount_of: Callable[[Step], Money]) -> Money:
        return Money.total(map(amount_of, self.steps), self.amount.currency)

    def _open(
        self,
        step: Step,
        operation: Operation,
        processor_id: str,
        amount: Money,
        now: datetime,
        **more: Any,
    ) -> Attempt:
        """Make an attempt that is to be committed before anyone is called."""
        attempt_id = AttemptId.new()
        return self._put_attempt(
            Attempt(
                id=attempt_id,
                step_id=step.id,
                number=len(self._attempts) + 1,
                operation=operation,
                processor_id=processor_id,
                amount=amount,
                idempotency_key=attempt_id,
                created_at=now,
                **{"hold": None, **more},
            )
        )

    def _planned(self, step_id: StepId) -> PlanStep:
        assert self.plan is not None
        return self.plan.steps[self._steps[step_id].index]

    def _untried(self, step_id: StepId) -> tuple[str, ...]:
        """The candidates of a step that were not asked yet, in the order of the plan."""
        asked = {each.processor_id for each in self.attempts if each.step_id == step_id}
        candidates = self._planned(step_id).candidates
        return tuple(each.processor_id for each in candidates if each.processor_id not in asked)

    def _time_left(self, attempt: Attempt, now: datetime) -> timedelta:
        """What is left of the time of its step since the first attempt of that kind."""
        began_at = min(
            each.created_at
            for each in self.attempts
            if each.step_id == attempt.step_id and each.operation is attempt.operation
        )
        return began_at + self._planned(attempt.step_id).timeout - now
