"""Refunds as processors tell of them: those asked for here, and those made at the processor.

A part that has failed stays failed, since no processor pays out what it has given up: a success
that is heard afterwards is an older one. A part that was paid out may still come back, and then it
is booked back: the amount can be refunded again, while the part keeps the state it ended in.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.kernel.ids import RefundId, RefundPartId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, FactKind, Heard, ProcessorEvent
from services.orchestrator.domain.attempt import Attempt, Execution
from services.orchestrator.domain.disputing import Disputing
from services.orchestrator.domain.posting import refund_reversal_posting
from services.orchestrator.domain.refund import Refund, RefundPart
from services.orchestrator.domain.refunding import is_given_up
from services.orchestrator.domain.state import (
    AttemptState,
    Operation,
    RefundState,
    StepState,
)

_MADE_OUTSIDE: Final = "made at the processor"
_STATES: Final = {
    FactKind.REFUND_PENDING: RefundState.PENDING,
    FactKind.REFUND_SUCCEEDED: RefundState.SUCCEEDED,
    FactKind.REFUND_FAILED: RefundState.FAILED,
}
_OUTCOMES: Final = {
    FactKind.REFUND_PENDING: Outcome.PENDING,
    FactKind.REFUND_SUCCEEDED: Outcome.SUCCEEDED,
    FactKind.REFUND_FAILED: Outcome.FAILED,
}
_ALREADY: Final = Heard(Disposition.KNOWN, "the refund was known to stand so")
_OVERTAKEN: Final = Heard(Disposition.STALE, "the refund has ended since")

Found = tuple[Refund, RefundPart]


class Reimbursing(Disputing):
    """The part of a payment that learns what became of refunds."""

    def _hear_refund(self, event: ProcessorEvent, hold: Attempt, now: datetime) -> Heard:
        """What an event tells of a refund of a hold."""
        found = self._part_named(event)
        if found is not None:
            return self._hear_of_part(*found, event, now)
        attempt = self._paying_attempt(event)
        if attempt is not None:
            return self._hear_of_ours(attempt, event, now)
        return self._hear_of_another(hold, event, now)

    def _paying_attempt(self, event: ProcessorEvent) -> Attempt | None:
        """Our attempt whose refund it is, by its id or the processor's."""
        named = (
            each
            for each in self.attempts
            if each.operation is Operation.REFUND
            and each.processor_id == event.processor_id
            and (
                each.id == event.attempt_id
                or (each.reference is not None and each.reference == event.object_id)
            )
        )
        return next(named, None)

    def _part_named(self, event: ProcessorEvent) -> Found | None:
        """The part of a refund that is known by its name at the processor."""
        if event.object_id is None:
            return None
        name = (event.processor_id, event.object_id)
        parts = ((refund, part) for refund in self.refunds for part in refund.parts)
        named = (
            (refund, part)
            for refund, part in parts
            if (part.processor_id, part.processor_reference) == name
        )
        return next(named, None)

    def _hear_of_ours(self, attempt: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        if attempt.is_settled:
            return self._hear_ended(attempt, event, now)
        if event.kind is FactKind.REFUND_PENDING and attempt.state is AttemptState.PENDING:
            return _ALREADY
        told = replace(_execution(event), outcome=_OUTCOMES[event.kind], reference=event.object_id)
        self.settle(attempt.id, told, now, "webhook")
        if event.amount not in (None, attempt.amount):
            self._stand(now, needs_reconciliation=True)
            message = f"the refund is of {event.amount}, and {attempt.amount} was asked for"
            return Heard(Disposition.APPLIED, message, is_alarming=True)
        return Heard(Disposition.APPLIED, f"the refund of {attempt.amount} is {told.outcome}")

    def _hear_ended(self, attempt: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        """One more fact about a refund of ours that has ended."""
        if attempt.part_id is not None:
            refund, part = self._refund_of(attempt)
            if is_given_up(attempt) and event.kind is FactKind.REFUND_SUCCEEDED:
                # It was decided without knowing, and the processor knows better.
                self._stand(now, needs_reconciliation=True)
                heard = self._hear_of_another(self._hold_of(attempt), event, now)
                return replace(heard, is_alarming=True)
            return self._hear_of_part(refund, part, event, now)
        name = event.object_id
        is_paid = event.kind is FactKind.REFUND_SUCCEEDED and name is not None
        if is_paid and self._paid_after_all(attempt, name or "", now):
            message = f"{attempt.amount} was given back after that had been given up"
            return Heard(Disposition.APPLIED, message, is_alarming=True)
        if event.kind is FactKind.REFUND_FAILED and attempt.state is AttemptState.SUCCEEDED:
            self._stand(now, needs_reconciliation=True)
            message = f"{attempt.amount} that was given back has returned, and is to be sent anew"
            return Heard(Disposition.APPLIED, message, is_alarming=True)
        is_same = attempt.state.value == _STATES[event.kind].value
        return _ALREADY if is_same else _OVERTAKEN

    def _hear_of_part(
        self, refund: Refund, part: RefundPart, event: ProcessorEvent, now: datetime
    ) -> Heard:
        told = _STATES[event.kind]
        has_come_back = part.state is RefundState.SUCCEEDED and part.error_code is not None
        if part.state is told or (has_come_back and told is RefundState.FAILED):
            return _ALREADY
        if part.state is RefundState.PENDING:
            if told is RefundState.SUCCEEDED:
                self._part_paid(refund, part, now)
            else:
                self._part_failed(refund, part, _execution(event), now)
            return Heard(Disposition.APPLIED, f"the refund of {part.amount} is {told}")
        if part.state is RefundState.SUCCEEDED and told is RefundState.FAILED:
            return self._come_back(refund, part, event, now)
        return _OVERTAKEN

    def _hear_of_another(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        """A refund that nobody here asked for: it is recorded, whatever was left to return."""
        step = self._steps[hold.step_id]
        if event.amount is None or not event.amount.is_positive or event.object_id is None:
            return Heard(Disposition.IGNORED, "it names no refund, or no amount")
        if not step.is_taken or step.processor_reference != hold.reference:
            self._stand(now, needs_reconciliation=True)
            message = f"{event.amount} was returned of what this payment had not taken"
            return Heard(Disposition.APPLIED, message, is_alarming=True)
        before = step.excess
        self._add_outside(hold, event, event.amount, event.object_id, now)
        beyond = self._steps[step.id].excess - before
        if beyond.is_positive:
            self._stand(now, needs_reconciliation=True)
            message = f"{beyond} of the refund made at the processor exceed what was left"
            return Heard(Disposition.APPLIED, message, is_alarming=True)
        return Heard(Disposition.APPLIED, f"a refund of {event.amount} was made at the processor")

    def _add_outside(
        self, hold: Attempt, event: ProcessorEvent, amount: Money, name: str, now: datetime
    ) -> None:
        zero = Money.zero(amount.currency)
        part = RefundPart(RefundPartId.new(), hold.step_id, amount, event.processor_id, zero)
        part = replace(part, processor_reference=name)
        refund = Refund(RefundId.new(), amount, _MADE_OUTSIDE, "", (part,), now, now)
        self._put_refund(refund)
        step = self._steps[hold.step_id]
        match event.kind:
            case FactKind.REFUND_PENDING:
                self._put_step(replace(step, reserved=step.reserved + amount))
            case FactKind.REFUND_SUCCEEDED:
                self._return(step, refund, part, now)
            case _:
                code = event.error_code or ErrorCode.PROCESSING_ERROR
                failed = replace(part, state=RefundState.FAILED, error_code=code)
                self._put_refund(refund.with_part(failed, now))

    def _come_back(
        self, refund: Refund, part: RefundPart, event: ProcessorEvent, now: datetime
    ) -> Heard:
        """What was paid out is with us again; it may be refunded anew, by whoever decides that."""
        step = self._steps[part.step_id]
        refunded = step.refunded - part.amount
        due = step.platform_fee.proportion(min(refunded, step.captured), step.captured)
        is_left = refunded < step.captured
        self._put_step(
            replace(
                step,
                refunded=refunded,
                fee_returned=due,
                state=StepState.CAPTURED if is_left else step.state,
            )
        )
        fee_due = step.fee_returned - due
        self._add_posting(refund_reversal_posting(self.id, self.merchant_id, part, fee_due, now))
        told = _execution(event)
        back = replace(part, error_code=told.error_code, fee_returned=Money.zero(due.currency))
        refund = self._put_refund(refund.with_part(back, now))
        self._stand(now, needs_reconciliation=True)
        self._tell_refund_failed(refund, back, told, now)
        message = f"the refund of {part.amount} came back after it had been paid out"
        return Heard(Disposition.APPLIED, message, is_alarming=True)


def _execution(event: ProcessorEvent) -> Execution:
    """What an event says of a failure, as an answer would have said it."""
    code = event.error_code or ErrorCode.PROCESSING_ERROR
    return Execution(
        Outcome.FAILED,
        error_code=code,
        decline_code=event.native_reason,
        user_message=code.user_message,
    )
