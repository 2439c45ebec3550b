"""A payment: the one thing that changes as a whole, and every way in which it can.

A payment that is under way always has exactly one open attempt, committed with whatever decided
that it should be made. So whoever finds an open attempt knows what to do next, and whoever finds
none knows that the payment is decided, waits for its customer, or is in doubt.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.kernel.context import CaptureMethod, CoreRequestContext
from services.kernel.errors import FailedPrecondition, Reason
from services.kernel.ids import AttemptId, PaymentId
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain import events
from services.orchestrator.domain.attempt import Attempt, Execution, Order, Redirect, Step
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import DuePosting, Refusal, capture_posting
from services.orchestrator.domain.record import PaymentRecord, Standing, Transition
from services.orchestrator.domain.state import (
    AttemptState,
    Operation,
    PaymentState,
    PostingState,
    StepState,
)

ACTION_WINDOW: Final = timedelta(hours=1)

_SUCCEEDED: Final = AttemptState.SUCCEEDED
_FAILED: Final = AttemptState.FAILED


class Payment(PaymentRecord):
    """One payment of one merchant, from the wish to the money."""

    @classmethod
    def create(cls, request: CoreRequestContext, now: datetime) -> "Payment":
        """A payment that is wanted, and for which nothing was done yet."""
        payment = cls(PaymentId.new(), request, Standing(PaymentState.CREATED, now, now))
        cause = f"request:{request.request_id}"
        payment._transitions.append(Transition(None, PaymentState.CREATED, cause, now))
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

    def confirm(self, plan: Plan, now: datetime) -> None:
        """Set it going: from here on there is an attempt to carry out."""
        plan.check_for(self.request)
        if len(plan.steps) > 1:
            raise FailedPrecondition(
                f"the plan has {len(plan.steps)} steps; only plans of one are carried out yet",
                reason=Reason.SPLIT_IMPOSSIBLE,
            )
        self._move(PaymentState.CONFIRMING, f"request:{self.request.request_id}", now)
        self.plan = plan
        for planned in plan.steps:
            self._put_step(Step.planned(planned.index, planned.amount))
        self._authorize_next(now)

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
        )

    def settle(self, attempt_id: AttemptId, execution: Execution, now: datetime) -> None:
        """Record what came of an attempt, and decide what is next; a known fact changes nothing."""
        attempt = self._attempts[attempt_id]
        if attempt.is_settled:
            return
        told = replace(attempt, execution=execution)
        match execution.outcome:
            # A hold that nobody can name could never be taken or given back.
            case Outcome.SUCCEEDED if attempt.hold or execution.reference:
                self._put_attempt(replace(told, state=_SUCCEEDED, settled_at=now))
                self._no_longer_waits(now)
                self._succeeded(told, execution, now)
            case Outcome.FAILED:
                self._put_attempt(replace(told, state=_FAILED, settled_at=now))
                self._no_longer_waits(now)
                self._failed(told, execution, now)
            case Outcome.REQUIRES_ACTION if execution.redirect is not None:
                self._put_attempt(replace(told, state=AttemptState.REQUIRES_ACTION))
                self._wait_for_customer(told, execution.redirect, now)
            case _ if attempt.state is not AttemptState.IN_DOUBT:
                self._put_attempt(replace(told, state=AttemptState.IN_DOUBT))
                self._doubt(told, now)

    def reject_posting(self, posting: DuePosting, refusal: Refusal, now: datetime) -> None:
        """Note that the ledger will not have a posting, and that a person has to look."""
        self._rejected[posting.id] = refusal
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

    def _succeeded(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        match attempt.operation:
            case Operation.AUTHORIZE:
                self._authorized(attempt, execution, now)
            case Operation.CAPTURE:
                self._captured(attempt, now)
            case Operation.VOID:
                self._voided(attempt, StepState.VOIDED, now)

    def _failed(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        match attempt.operation:
            case Operation.AUTHORIZE:
                self._declined(attempt, execution, now)
            case Operation.CAPTURE:
                self._release(attempt, execution, now)
            case Operation.VOID:
                # The hold may still stand, and nothing here will end it.
                self._stand(now, needs_reconciliation=True)
                self._voided(attempt, StepState.FAILED, now)

    def _authorized(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        step = self._put_step(
            replace(
                self._steps[attempt.step_id],
                state=StepState.AUTHORIZED,
                authorized=attempt.amount,
                processor_id=attempt.processor_id,
                processor_reference=execution.reference,
                error_code=None,
                is_retryable=False,
                latency_ms=execution.latency_ms,
            )
        )
        self.record(
            events.StepSucceeded(
                occurred_at=now,
                step_index=step.index,
                processor_id=attempt.processor_id,
                latency_ms=execution.latency_ms,
                amount=attempt.amount,
            )
        )
        if self._authorize_next(now):
            return
        self._move(PaymentState.AUTHORIZED, f"attempt:{attempt.id}", now)
        self.record(events.PaymentAuthorized(occurred_at=now, amount=self.total("held")))
        assert self.plan is not None
        if self.plan.capture_method is CaptureMethod.AUTOMATIC:
            self._capture_next(now)

    def _declined(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        step = self._note_failure(attempt, execution, now)
        another = execution.failover_to
        has_time = self._time_left(attempt, now) > timedelta(0)
        if another in self._untried(step.id) and has_time:
            self._open(step, Operation.AUTHORIZE, another, now)
            return
        self._put_step(replace(step, state=StepState.FAILED))
        error = self._error(step, execution, now)
        self._move(PaymentState.FAILED, f"attempt:{attempt.id}", now)
        self.record(events.PaymentFailed(occurred_at=now, error=error))

    def _captured(self, attempt: Attempt, now: datetime) -> None:
        assert self.plan is not None
        fee = self.plan.platform_fee.next_share(
            attempt.amount, already=self.total("captured"), whole=self.plan.total
        )
        step = self._steps[attempt.step_id]
        step = replace(step, state=StepState.CAPTURED, captured=attempt.amount, platform_fee=fee)
        self._put_step(step)
        self._add_posting(capture_posting(self.id, self.merchant_id, step, now))
        if self._capture_next(now):
            return
        taken = self.total("captured")
        self._move(PaymentState.CAPTURED, f"attempt:{attempt.id}", now)
        self.record(
            events.PaymentCaptured(
                occurred_at=now,
                amount=taken,
                released=self._sum(lambda each: each.authorized) - taken,
                platform_fee=self.total("platform_fee"),
            )
        )
        request_id = self.request.request_id
        self.record(events.PaymentCompleted(occurred_at=now, total=taken, request_id=request_id))

    def _release(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        """A hold that cannot be taken is given back."""
        step = self._note_failure(attempt, execution, now)
        self._error(step, execution, now)
        assert step.processor_id is not None
        self._open(step, Operation.VOID, step.processor_id, now)

    def _voided(self, attempt: Attempt, state: StepState, now: datetime) -> None:
        self._put_step(replace(self._steps[attempt.step_id], state=state))
        self._move(PaymentState.VOIDED, f"attempt:{attempt.id}", now)
        self.record(
            events.PaymentVoided(occurred_at=now, amount=attempt.amount, cause="capture_failed")
        )

    def _wait_for_customer(self, attempt: Attempt, redirect: Redirect, now: datetime) -> None:
        step = self._steps[attempt.step_id]
        self._put_step(replace(step, state=StepState.REQUIRES_ACTION))
        expires_at = now + ACTION_WINDOW
        self._stand(now, redirect=redirect, action_expires_at=expires_at)
        self.record(
            events.PaymentActionRequired(occurred_at=now, redirect=redirect, expires_at=expires_at)
        )

    def _doubt(self, attempt: Attempt, now: datetime) -> None:
        """It may have happened: nothing else is done before that is known."""
        self._put_step(replace(self._steps[attempt.step_id], state=StepState.IN_DOUBT))
        self._stand(now, in_doubt_since=now)
        self.record(
            events.PaymentInDoubt(
                occurred_at=now,
                attempt_id=attempt.id,
                processor_id=attempt.processor_id,
                operation=attempt.operation,
                amount=attempt.amount,
            )
        )

    def _note_failure(self, attempt: Attempt, execution: Execution, now: datetime) -> Step:
        code = execution.error_code or ErrorCode.PROCESSING_ERROR
        step = self._put_step(
            replace(
                self._steps[attempt.step_id],
                processor_id=attempt.processor_id,
                error_code=code,
                is_retryable=execution.is_retryable,
                latency_ms=execution.latency_ms,
            )
        )
        self.record(
            events.StepFailed(
                occurred_at=now,
                step_index=step.index,
                processor_id=attempt.processor_id,
                error_code=code,
                is_retryable=execution.is_retryable,
                latency_ms=execution.latency_ms,
            )
        )
        return step

    def _error(self, step: Step, execution: Execution, now: datetime) -> events.FinalError:
        """The error that decides the payment."""
        code = step.error_code or ErrorCode.PROCESSING_ERROR
        message = execution.user_message or code.user_message
        error = events.FinalError(code, execution.decline_code, message, step.index)
        self._stand(now, final_error=error)
        return error

    def _no_longer_waits(self, now: datetime) -> None:
        self._stand(now, redirect=None, action_expires_at=None, in_doubt_since=None)

    def _authorize_next(self, now: datetime) -> bool:
        """Open the next step's first attempt; False when every step is under way already."""
        for step in self.steps:
            if step.state is StepState.PENDING:
                first = self._planned(step.id).candidates[0].processor_id
                self._put_step(replace(step, state=StepState.PROCESSING))
                self._open(step, Operation.AUTHORIZE, first, now)
                return True
        return False

    def _capture_next(self, now: datetime) -> bool:
        """Open the capture of the next hold; False when nothing is held any more."""
        for step in self.steps:
            if step.held.is_positive and step.processor_id is not None:
                self._open(step, Operation.CAPTURE, step.processor_id, now)
                return True
        return False
