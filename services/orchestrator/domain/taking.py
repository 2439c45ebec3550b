"""Taking what is held, or releasing it: captures in the order of the plan, and voids."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.kernel.context import SplitPolicy
from services.kernel.errors import FailedPrecondition, InvalidArgument, Reason
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode
from services.orchestrator.domain import events
from services.orchestrator.domain.attempt import Attempt, Execution, Step
from services.orchestrator.domain.posting import capture_posting
from services.orchestrator.domain.refunding import Refunding
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState, StepState

_SPLIT_FAILED: Final = "a part of the split could not be captured"


class Taking(Refunding):
    """The part of a payment that turns holds into money, or lets them go."""

    def _want(self, amount: Money | None, now: datetime) -> None:
        """Take an amount of what is held, all of it when None is said."""
        held, taken = self.total("held"), self.total("captured")
        wanted = held if amount is None else amount
        if wanted.currency != held.currency or not wanted.is_positive:
            raise InvalidArgument(
                f"a capture is more than nothing, in {held.currency}",
                reason=Reason.AMOUNT_INVALID,
            )
        if wanted > held:
            raise FailedPrecondition(
                f"{held} is held; {wanted} cannot be captured of it",
                reason=Reason.AUTHORIZED_AMOUNT_EXCEEDED,
                details={"state": self.state.name, "authorized": str(held)},
            )
        self._stand(now, capture_wanted=taken + wanted)
        self._go_on(now)

    def _let_go(self, now: datetime) -> None:
        """Release everything that is held."""
        for step in self.steps:
            if step.state is StepState.AUTHORIZED:
                self._release(step, now)

    def _go_on(self, now: datetime) -> None:
        """Do what comes next for an authorized payment, once nothing of it is under way."""
        if self.state is not PaymentState.AUTHORIZED or self._is_busy():
            return
        wanted = self.standing.capture_wanted
        held = [each for each in self.steps if each.state is StepState.AUTHORIZED]
        for taking in filter(None, map(self._taken_already, held)):
            self._captured(taking, taking.amount, now)
            return
        if wanted is not None and not self._has_given_up:
            step = next(iter(held), None)
            left = wanted - self.total("captured")
            if step is not None and left.is_positive:
                self._capture(step, min(step.held, left), now)
                return
        if held and wanted is None:
            # What is held is the merchant's to take, though the processor took a part unasked.
            return
        if self.total("captured").is_positive:
            self._finish_capture(now)
        elif held:
            self._let_go(now)
        else:
            self._finish_release(now)

    def _taken_already(self, step: Step) -> Attempt | None:
        """What has taken a hold, unordered or with the hold itself, and still is to be counted."""
        if step.is_taken:
            return None
        at_once = self._notes.taken_with_hold
        if at_once is not None and at_once.step_id == step.id:
            return at_once
        captures = (
            each
            for each in self.attempts
            if each.operation is Operation.CAPTURE
            and each.state is AttemptState.SUCCEEDED
            and each.step_id == step.id
            and each.hold == step.processor_reference
        )
        return next(captures, None)

    @property
    def _has_given_up(self) -> bool:
        """Whether a capture failed of a payment that is wanted whole or not at all."""
        assert self.plan is not None
        return self.plan.split_policy is SplitPolicy.ALL_OR_NOTHING and self._capture_failed

    @property
    def _capture_failed(self) -> bool:
        return any(
            each.operation is Operation.CAPTURE and each.state is AttemptState.FAILED
            for each in self.attempts
        )

    def _is_busy(self) -> bool:
        """Whether an attempt is under way that decides what comes next."""
        return any(
            not (each.is_settled or each.late or each.operation is Operation.REFUND)
            for each in self.attempts
        )

    def _capture(self, step: Step, amount: Money, now: datetime) -> None:
        assert step.processor_id is not None
        self._open(
            step,
            Operation.CAPTURE,
            step.processor_id,
            amount,
            now,
            hold=step.processor_reference,
        )

    def _captured(self, attempt: Attempt, amount: Money, now: datetime) -> None:
        assert self.plan is not None
        already, whole = self.total("captured"), self.plan.total
        # What is taken beyond the whole, unasked, is charged no fee.
        part = min(amount, max(whole - already, Money.zero(whole.currency)))
        fee = self.plan.platform_fee.next_share(part, already=min(already, whole), whole=whole)
        step = self._put_step(
            replace(
                self._steps[attempt.step_id],
                state=StepState.CAPTURED,
                captured=amount,
                platform_fee=fee,
            )
        )
        self._add_posting(capture_posting(self.id, self.merchant_id, step, now))
        self._go_on(now)

    def _finish_capture(self, now: datetime) -> None:
        """What could be taken is: the rest is let go, and taken back what is wanted no more."""
        taken = self.total("captured")
        held = self._sum(lambda each: each.authorized)
        released = max(held - taken, Money.zero(held.currency))
        self._move(PaymentState.CAPTURED, self._cause, now)
        self.record(
            events.PaymentCaptured(
                occurred_at=now,
                amount=taken,
                released=released,
                platform_fee=self.total("platform_fee"),
            )
        )
        self._let_go(now)
        if self._has_given_up:
            self._ask_back(None, _SPLIT_FAILED, "", now)
            return
        request_id = self.request.request_id
        self.record(events.PaymentCompleted(occurred_at=now, total=taken, request_id=request_id))

    def _not_captured(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        """A hold that cannot be taken is given back."""
        step = self._note_failure(attempt, execution, now)
        self._fail_with(step, execution, now)
        self._release(step, now)

    def _release(self, step: Step, now: datetime) -> None:
        assert step.processor_id is not None
        taking = self._taken_already(step)
        if taking is not None and step.processor_reference is not None:
            self._put_step(replace(step, state=StepState.VOIDED))
            self._give_back(taking, step.processor_reference, taking.amount, now, taken=True)
            return
        step = self._put_step(replace(step, state=StepState.PROCESSING))
        self._open(
            step,
            Operation.VOID,
            step.processor_id or "",
            step.authorized,
            now,
            hold=step.processor_reference,
        )

    def _released(self, attempt: Attempt, now: datetime) -> None:
        self._put_step(replace(self._steps[attempt.step_id], state=StepState.VOIDED))
        self._go_on(now)

    def _not_released(self, attempt: Attempt, now: datetime) -> None:
        """The hold may still stand, and nothing here will end it."""
        self._stand(now, needs_reconciliation=True)
        self._put_step(replace(self._steps[attempt.step_id], state=StepState.FAILED))
        self._go_on(now)

    def _finish_release(self, now: datetime, why: str | None = None) -> None:
        """Nothing is held any more, and nothing was taken."""
        held = self._sum(lambda each: each.authorized)
        cause = why or ("capture_failed" if self._capture_failed else "merchant")
        self._move(PaymentState.VOIDED, self._cause, now)
        self.record(events.PaymentVoided(occurred_at=now, amount=held, cause=cause))

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

    def _fail_with(self, step: Step, execution: Execution, now: datetime) -> events.FinalError:
        """Note the error that decides the payment, or what is missing of it."""
        code = step.error_code or ErrorCode.PROCESSING_ERROR
        message = execution.user_message or code.user_message
        error = events.FinalError(code, execution.decline_code, message, step.index)
        self._stand(now, final_error=error)
        return error
