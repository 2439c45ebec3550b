"""What processors tell unasked: once each, in any order, before or after their own answers.

Each event states a fact. It is matched to the hold, refund or dispute that it is about, applied,
and recorded with what it did. One of which nothing is known yet, or that makes sense only after
something else that is still to be heard, is neither: it is UNMATCHED for now, and whoever brought
it keeps it and asks again.
"""

from datetime import datetime
from typing import Final

from services.kernel.ids import StepId
from services.orchestrator.domain.applied import (
    AppliedEvent,
    Disposition,
    FactKind,
    Heard,
    ProcessorEvent,
)
from services.orchestrator.domain.attempt import Attempt
from services.orchestrator.domain.noticing import EARLY, Noticing
from services.orchestrator.domain.state import Operation, PaymentState

NOT_OURS: Final = Heard(Disposition.UNMATCHED, "no payment belongs to it, or none does yet")
_NOT_KEPT: Final = Heard(Disposition.IGNORED, "it concerns nothing that is kept")

_REFUNDS: Final = frozenset(
    {FactKind.REFUND_PENDING, FactKind.REFUND_SUCCEEDED, FactKind.REFUND_FAILED}
)
_DISPUTES: Final = frozenset(
    {
        FactKind.DISPUTE_OPENED,
        FactKind.DISPUTE_FUNDS_WITHDRAWN,
        FactKind.DISPUTE_FUNDS_REINSTATED,
        FactKind.DISPUTE_WON,
        FactKind.DISPUTE_LOST,
    }
)
_NOT_TAKEN_YET: Final = frozenset({PaymentState.CONFIRMING, PaymentState.AUTHORIZED})


class Hearing(Noticing):
    """The part of a payment that hears what processors tell unasked."""

    def hear(self, event: ProcessorEvent, now: datetime) -> Heard:
        """Record a fact; one of which nothing is known yet changes nothing and is not recorded."""
        self._cause = f"event:{event.id}"
        heard = self._heard(event, now)
        if heard.disposition is not Disposition.UNMATCHED:
            self._notes.applied = AppliedEvent(event, heard.disposition, heard.message, now)
            self._notes.is_touched = True
        return heard

    def _heard(self, event: ProcessorEvent, now: datetime) -> Heard:
        hold = self._hold_told_of(event)
        if hold is None:
            return NOT_OURS
        if event.kind is FactKind.IGNORED:
            return _NOT_KEPT
        if event.amount is not None and event.amount.currency != self.amount.currency:
            self._stand(now, needs_reconciliation=True)
            message = f"it is in {event.amount.currency}, and the payment in {self.amount.currency}"
            return Heard(Disposition.IGNORED, message, is_alarming=True)
        if event.kind in _REFUNDS | _DISPUTES:
            return self._heard_of_taken(hold, event, now)
        return self._heard_of_hold(hold, event, now)

    def _heard_of_taken(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        """What became of money that was taken; before it is, there is nothing to tell it of."""
        if self.state in _NOT_TAKEN_YET and not self._is_given_back(event):
            return EARLY
        if event.kind in _REFUNDS:
            return self._hear_refund(event, hold, now)
        return self._hear_dispute(event, hold, now)

    def _heard_of_hold(self, hold: Attempt, event: ProcessorEvent, now: datetime) -> Heard:
        match event.kind:
            case FactKind.AUTHORIZED:
                return self._hear_of_hold(hold, event, now)
            case FactKind.FAILED:
                return self._hear_of_failure(hold, event, now)
            case FactKind.CAPTURED:
                return self._hear_of_capture(hold, event, now)
            case FactKind.CANCELED:
                return self._hear_of_release(hold, event, now)
            case _:
                return self._hear_of_action(hold, now)

    def _hold_told_of(self, event: ProcessorEvent) -> Attempt | None:
        """The authorization that it is about, or whose hold is, at the processor that tells it."""
        named = None if event.attempt_id is None else self._attempts.get(event.attempt_id)
        if named is not None and named.processor_id != event.processor_id:
            # Whatever it carries, it is of another account.
            named = None
        if named is not None and named.operation is Operation.AUTHORIZE:
            return named
        references = {event.reference, event.object_id, None if named is None else named.hold}
        there = [
            each
            for each in self.attempts
            if each.operation is Operation.AUTHORIZE and each.processor_id == event.processor_id
        ]
        for hold in there:
            if hold.reference is not None and hold.reference in references:
                return hold
        # What came beside a hold, and a dispute or refund that names no hold, are of a step.
        step_id = self._step_told_of(event) if named is None else named.step_id
        return next((each for each in there if each.step_id == step_id), None)

    def _step_told_of(self, event: ProcessorEvent) -> StepId | None:
        """The step whose refund or dispute is known by the name that it has at the processor."""
        known = self._dispute_of(event)
        if known is not None:
            return known.step_id
        found = self._part_named(event)
        return None if found is None else found[1].step_id

    def _is_given_back(self, event: ProcessorEvent) -> bool:
        """Whether it tells of what is given back since it came late, whatever is being taken."""
        paying = self._paying_attempt(event) if event.kind in _REFUNDS else None
        return paying is not None and paying.late
