"""Disputes, and what of a step's amounts exceeds what was captured.

The bank decides: a dispute is recorded whatever is left to take. What does not fit beside refunds
and what they have reserved is excess. It is worked out anew whenever an amount of the step changes,
so that it does not depend on which of several claims to the same money was heard first.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from services.orchestrator.domain import events
from services.orchestrator.domain.applied import Disposition, Heard, ProcessorEvent
from services.orchestrator.domain.attempt import Attempt, Step
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.posting import PostingKind, dispute_posting
from services.orchestrator.domain.settling import Settling
from services.orchestrator.domain.state import DisputeState, PaymentState


class Disputing(Settling):
    """The part of a payment that its customer's bank decides about."""

    def _put_step(self, step: Step) -> Step:
        if step.excess != step.overdrawn:
            step = replace(step, excess=step.overdrawn)
        step = super()._put_step(step)
        if self._disputes:
            self._share_excess(step)
        return step

    def _share_excess(self, step: Step) -> None:
        """Say of each dispute how much of it exceeds the step, the newest first."""
        left = step.excess
        own = [each for each in self.disputes if each.step_id == step.id]
        for dispute in sorted(own, key=lambda each: each.opened_at, reverse=True):
            excess = min(dispute.weight, left)
            left -= excess
            if excess != dispute.excess:
                self._put_dispute(replace(dispute, excess=excess))

    def _hear_dispute(self, event: ProcessorEvent, hold: Attempt, now: datetime) -> Heard:
        """Add a fact to a dispute; the first that is heard of it, whichever, begins it."""
        known = self._dispute_of(event)
        before = known
        if before is None:
            if event.object_id is None or event.amount is None or not event.amount.is_positive:
                return Heard(Disposition.IGNORED, "it names no dispute, or no amount")
            before = Dispute.first_heard(event, event.object_id, hold.step_id, event.amount)
            self._open_dispute(before, now)
        self._add_fact(self._disputes[before.id], event, now)
        after = self._disputes[before.id]
        return self._judge_dispute(known, after, event, now)

    def _dispute_of(self, event: ProcessorEvent) -> Dispute | None:
        named = (event.processor_id, event.object_id)
        found = (each for each in self.disputes if each.named == named)
        return next(found, None)

    def _open_dispute(self, dispute: Dispute, now: datetime) -> None:
        self._put_dispute(dispute)
        step = self._steps[dispute.step_id]
        self._put_step(replace(step, disputed=step.disputed + dispute.amount))
        if self.state is PaymentState.CAPTURED:
            self._move(PaymentState.DISPUTED, self._cause, now)
        self.record(
            events.PaymentDisputed(
                occurred_at=now,
                dispute_id=dispute.id,
                amount=dispute.amount,
                excess=self._disputes[dispute.id].excess,
                reason=dispute.reason,
            )
        )

    def _add_fact(self, before: Dispute, event: ProcessorEvent, now: datetime) -> None:
        after = before.with_fact(event)
        if after == before:
            return
        self._put_dispute(after)
        for kind in _owed(before, after):
            self._add_posting(dispute_posting(self.id, self.merchant_id, after, kind, now))
        if before.is_closed or not after.is_closed:
            return
        is_won = after.state is DisputeState.WON
        if is_won:
            step = self._steps[after.step_id]
            self._put_step(replace(step, disputed=step.disputed - after.amount))
        self.record(
            events.PaymentDisputeClosed(
                occurred_at=now, dispute_id=after.id, amount=after.amount, is_won=is_won
            )
        )

    def _judge_dispute(
        self, before: Dispute | None, after: Dispute, event: ProcessorEvent, now: datetime
    ) -> Heard:
        is_new = after != before
        if after.disagrees_with(event):
            self._stand(now, needs_reconciliation=True)
            message = f"it does not agree with what was told of {after.id} before"
            disposition = Disposition.APPLIED if is_new else Disposition.STALE
            return Heard(disposition, message, is_alarming=True)
        if not is_new:
            return Heard(Disposition.KNOWN, f"{after.id} was known to be so")
        if after.excess.is_positive:
            self._stand(now, needs_reconciliation=True)
            message = f"{after.excess} of {after.id} exceed what was captured and is left"
            return Heard(Disposition.APPLIED, message, is_alarming=True)
        return Heard(Disposition.APPLIED, f"{after.id} of {after.amount} is {after.state}")


def _owed(before: Dispute, after: Dispute) -> Iterator[PostingKind]:
    """What is to be booked of the facts that are new."""
    if after.funds_withdrawn and not before.funds_withdrawn:
        yield PostingKind.DISPUTE_WITHDRAWAL
    if after.funds_reinstated and not before.funds_reinstated:
        yield PostingKind.DISPUTE_REINSTATEMENT
    is_lost = after.state is DisputeState.LOST
    if is_lost and before.state is not after.state and not after.funds_reinstated:
        yield PostingKind.DISPUTE_LOSS
    if after.fee.is_positive and before.fee.is_zero:
        yield PostingKind.DISPUTE_FEE
