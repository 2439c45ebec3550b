"""What processors tell of holds: made, refused, taken or gone, whether that was asked for or not.

Each fact goes through the same transitions that answers and lookups go through, so that whichever
is heard first moves the payment, and the others find it moved. What the processor did unasked is
recorded as an attempt that has succeeded. A success for what had ended without it is given back.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.kernel.context import CaptureMethod
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, Heard, ProcessorEvent
from services.orchestrator.domain.attempt import Attempt, Execution
from services.orchestrator.domain.reimbursing import Reimbursing
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState, StepState

EARLY: Final = Heard(Disposition.UNMATCHED, "the payment is not known to have come that far")
_AWAITED: Final = Heard(Disposition.KNOWN, "the processor's own answer is awaited, and says more")
_ALREADY: Final = Heard(Disposition.KNOWN, "it was known already")
_OVERTAKEN: Final = Heard(Disposition.STALE, "the payment has gone on since")
# The words in which processors say that a hold was not released but ran out.
_EXPIRED: Final = frozenset({"expired", "automatic"})


class Noticing(Reimbursing):
    """The part of a payment that learns what became of its holds."""

    def _hear_of_action(self, hold: Attempt, now: datetime) -> Heard:
        if hold.is_settled:
            return _OVERTAKEN
        if hold.state is AttemptState.IN_DOUBT:
            # Where the customer is to go is in no event.
            return self._ask(hold, now)
        return _ALREADY if hold.state is AttemptState.REQUIRES_ACTION else _AWAITED

    def _hear_of_hold(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        if _is_of_another(hold, event) or hold.state is AttemptState.FAILED:
            return self._held_late(hold, event, now)
        if hold.is_settled:
            return _ALREADY
        if event.amount is not None and event.amount < hold.amount:
            self._stand(now, needs_reconciliation=True)
            message = f"{event.amount} is held, and {hold.amount} was asked for"
            return Heard(Disposition.IGNORED, message, is_alarming=True)
        self._settle_as(hold, Outcome.SUCCEEDED, event, now)
        return Heard(Disposition.APPLIED, f"{hold.amount} is held")

    def _held_late(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        reference = event.reference or hold.reference
        if reference is None:
            return _OVERTAKEN
        if not self._give_back(hold, reference, hold.amount, now, taken=False):
            return _OVERTAKEN
        message = f"{hold.amount} is held for what had ended without it, and is released"
        return Heard(Disposition.APPLIED, message, is_alarming=True)

    def _hear_of_failure(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        named = None if event.attempt_id is None else self._attempts.get(event.attempt_id)
        is_capture = named is not None and named.operation is Operation.CAPTURE
        attempt = named if named is not None and is_capture else hold
        if _is_of_another(hold, event):
            return _OVERTAKEN
        if attempt.is_settled:
            capture = self._unsettled(Operation.CAPTURE, hold.reference)
            if attempt.state is AttemptState.FAILED:
                return _ALREADY
            if capture is not None and capture.state is not AttemptState.OPEN:
                # It may be a failure from before the hold, so it proves nothing of the capture.
                return self._ask(capture, now)
            return _OVERTAKEN
        if attempt.state is AttemptState.OPEN:
            return _AWAITED
        self._settle_as(attempt, Outcome.FAILED, event, now)
        return Heard(Disposition.APPLIED, f"the {attempt.operation} failed")

    def _hear_of_capture(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        reference = event.reference or hold.reference
        amount = event.amount or hold.amount
        if reference is None or not amount.is_positive:
            return Heard(Disposition.IGNORED, "it names no hold, or no amount")
        if _is_of_another(hold, event):
            return self._taken_beside(hold, reference, amount, now)
        if hold.state is AttemptState.FAILED:
            return self._taken_late(hold, reference, amount, now)
        if not hold.is_settled:
            self._settle_as(hold, Outcome.SUCCEEDED, event, now, captured=amount)
            if amount == hold.amount and self._steps[hold.step_id].is_taken:
                return Heard(Disposition.APPLIED, f"{amount} was captured with its hold")
        return self._taken(hold, reference, amount, now)

    def _taken(self, hold: Attempt, reference: str, amount: Money, now: datetime) -> Heard:
        """A hold of ours was taken, asked for or not."""
        step = self._steps[hold.step_id]
        if step.is_taken:
            return self._compare(step.captured, amount, now, _ALREADY)
        capture = self._unsettled(Operation.CAPTURE, reference)
        if capture is not None:
            told = Execution(Outcome.SUCCEEDED, reference=reference, amount=amount)
            self.settle(capture.id, told, now, "webhook")
            applied = Heard(Disposition.APPLIED, f"{amount} was captured")
            return self._compare(capture.amount, amount, now, applied)
        if step.state is not StepState.AUTHORIZED:
            return self._taken_late(hold, reference, amount, now)
        unasked = self._taken_already(step)
        if unasked is not None:
            return self._compare(unasked.amount, amount, now, _ALREADY)
        self._record_done(hold, Operation.CAPTURE, reference, amount, now)
        self._go_on(now)
        applied = Heard(Disposition.APPLIED, f"{amount} was captured at the processor")
        assert self.plan is not None
        is_manual = self.plan.capture_method is CaptureMethod.MANUAL
        expected = min(hold.amount, amount) if is_manual else hold.amount
        return self._compare(expected, amount, now, applied)

    def _compare(self, expected: Money, told: Money, now: datetime, agreed: Heard) -> Heard:
        if told == expected:
            return agreed
        self._stand(now, needs_reconciliation=True)
        message = f"{told} was captured, where it was to be {expected}"
        return Heard(Disposition.APPLIED, message, is_alarming=True)

    def _taken_beside(self, hold: Attempt, reference: str, amount: Money, now: datetime) -> Heard:
        """The processor took a second thing for the same attempt: it is given back."""
        if self._captures_of(reference):
            return _ALREADY
        beside = self._record_done(hold, Operation.CAPTURE, reference, amount, now)
        return self._taken_late(beside, reference, amount, now)

    def _taken_late(self, attempt: Attempt, reference: str, amount: Money, now: datetime) -> Heard:
        """It was taken after the payment had failed or gone on without it: it is given back."""
        void = self._unsettled(Operation.VOID, reference)
        if void is not None:
            # What was taken can no longer be released.
            failed = Execution(Outcome.FAILED, error_code=ErrorCode.PROCESSING_ERROR)
            self.settle(void.id, failed, now, "webhook")
        if not self._hand_back(attempt, reference, amount, now):
            return _OVERTAKEN
        message = f"{amount} was captured for what had ended without it, and is refunded"
        return Heard(Disposition.APPLIED, message, is_alarming=True)

    def _hear_of_release(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        reference = event.reference or hold.reference
        void = self._unsettled(Operation.VOID, reference)
        if void is not None:
            self._settle_as(void, Outcome.SUCCEEDED, event, now)
            return Heard(Disposition.APPLIED, "the hold was released")
        if _is_of_another(hold, event) or hold.state is AttemptState.FAILED:
            return _ALREADY
        if hold.state is AttemptState.OPEN or reference is None:
            return EARLY
        if not hold.is_settled:
            # So that a success that is heard later, and is older, is not given back once more.
            self._record_done(hold, Operation.VOID, reference, hold.amount, now)
            self._settle_as(hold, Outcome.FAILED, event, now)
            return Heard(Disposition.APPLIED, "what was asked to be held was canceled")
        return self._released_unasked(hold, reference, event, now)

    def _released_unasked(
        self, hold: Attempt, reference: str, event: ProcessorEvent, now: datetime
    ) -> Heard:
        step = self._steps[hold.step_id]
        if step.state is StepState.VOIDED:
            return _ALREADY
        if step.is_taken or self._taken_already(step) is not None:
            return _OVERTAKEN
        capture = self._unsettled(Operation.CAPTURE, reference)
        if capture is not None:
            self._settle_as(capture, Outcome.FAILED, event, now)
            void = self._unsettled(Operation.VOID, reference)
            assert void is not None, "a hold that could not be taken is released"
            self._settle_as(void, Outcome.SUCCEEDED, event, now)
            return Heard(Disposition.APPLIED, "the hold was gone before it could be taken")
        self._record_done(hold, Operation.VOID, reference, hold.amount, now)
        why = "expired" if event.native_reason in _EXPIRED else "processor"
        self._lose_hold(hold, event, why, now)
        return Heard(Disposition.APPLIED, f"the hold of {hold.amount} is gone: {why}")

    def _lose_hold(self, hold: Attempt, event: ProcessorEvent, why: str, now: datetime) -> None:
        if self.state is PaymentState.CONFIRMING:
            # Others may make up for it; if they cannot, this is why the payment fails.
            failed = _execution(Outcome.FAILED, hold, event)
            self._fail_with(self._note_failure(hold, failed, now), failed, now)
        step = self._put_step(replace(self._steps[hold.step_id], state=StepState.VOIDED))
        is_held = any(each.state is StepState.AUTHORIZED for each in self.steps)
        is_over = not (is_held or self._is_busy() or self.total("captured").is_positive)
        if self.state is PaymentState.AUTHORIZED and is_over:
            self._finish_release(now, why)
        elif step.authorized.is_positive:
            self._go_on(now)

    def _settle_as(
        self,
        attempt: Attempt,
        outcome: Outcome,
        event: ProcessorEvent,
        now: datetime,
        *,
        captured: Money | None = None,
    ) -> None:
        told = replace(_execution(outcome, attempt, event), captured=captured)
        self.settle(attempt.id, told, now, "webhook")

    def _unsettled(self, operation: Operation, hold: str | None) -> Attempt | None:
        """What is under way with a hold."""
        found = (
            each
            for each in self.attempts
            if each.operation is operation and each.hold == hold and not each.is_settled
        )
        return None if hold is None else next(found, None)

    def _captures_of(self, hold: str) -> bool:
        return any(
            each.operation is Operation.CAPTURE and each.hold == hold for each in self.attempts
        )

    def _ask(self, attempt: Attempt, now: datetime) -> Heard:
        """Have it looked up at once."""
        self._put_attempt(replace(attempt, look_up_at=now))
        return Heard(Disposition.APPLIED, "the processor is asked how it stands")


def _is_of_another(hold: Attempt, event: ProcessorEvent) -> bool:
    """Whether it is about another thing that the processor made for the same attempt."""
    return None not in (hold.reference, event.reference) and hold.reference != event.reference


def _execution(outcome: Outcome, attempt: Attempt, event: ProcessorEvent) -> Execution:
    """What an event says of an attempt, as an answer would have said it."""
    if outcome is Outcome.SUCCEEDED:
        return Execution(outcome, reference=event.reference or attempt.hold)
    waited = attempt.state is AttemptState.REQUIRES_ACTION
    code = event.error_code or (
        ErrorCode.AUTHENTICATION_REQUIRED if waited else ErrorCode.PROCESSING_ERROR
    )
    return Execution(
        outcome,
        reference=event.reference,
        error_code=code,
        decline_code=event.native_reason,
        user_message=code.user_message,
    )
