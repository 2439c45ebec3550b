"""Disputes: a customer's objection at the bank, as the processor tells of it.

What is told of a dispute is a set of facts, and they come in any order: it was opened, its funds
were withdrawn, they were given back, it was won, or lost. Where a dispute stands follows from which
of them were heard, and not from which was heard first.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.kernel.ids import DisputeId, StepId
from services.kernel.money import Money
from services.orchestrator.domain.applied import FactKind, ProcessorEvent
from services.orchestrator.domain.state import DisputeState

_DECISIONS: Final = {
    FactKind.DISPUTE_WON: DisputeState.WON,
    FactKind.DISPUTE_LOST: DisputeState.LOST,
}
# What was given back, or is lost, was withdrawn before, whether that was told or not.
_WITHDRAWN: Final = frozenset(
    {FactKind.DISPUTE_FUNDS_WITHDRAWN, FactKind.DISPUTE_FUNDS_REINSTATED, FactKind.DISPUTE_LOST}
)


@dataclass(frozen=True, slots=True)
class Dispute:
    """One dispute of one step; its amounts are the bank's, who decides."""

    id: DisputeId
    step_id: StepId
    state: DisputeState
    amount: Money
    excess: Money
    """The part of the amount that exceeds what was captured and is left."""
    fee: Money
    funds_withdrawn: bool
    funds_reinstated: bool
    reason: str
    processor_id: str
    processor_reference: str
    opened_at: datetime
    closed_at: datetime | None = None

    @classmethod
    def first_heard(
        cls, event: ProcessorEvent, reference: str, step_id: StepId, amount: Money
    ) -> "Dispute":
        """A dispute of which nothing is known yet but that there is one."""
        zero = Money.zero(amount.currency)
        return cls(
            id=DisputeId.new(),
            step_id=step_id,
            state=DisputeState.OPENED,
            amount=amount,
            excess=zero,
            fee=zero,
            funds_withdrawn=False,
            funds_reinstated=False,
            reason=event.native_reason,
            processor_id=event.processor_id,
            processor_reference=reference,
            opened_at=event.occurred_at,
        )

    @property
    def named(self) -> tuple[str, str]:
        """Whose it is, and what it is called there."""
        return self.processor_id, self.processor_reference

    @property
    def is_closed(self) -> bool:
        """Whether the bank has decided."""
        return self.state is not DisputeState.OPENED

    @property
    def weight(self) -> Money:
        """What of its step it keeps from being refunded: nothing once it is won."""
        is_free = self.state is DisputeState.WON
        return Money.zero(self.amount.currency) if is_free else self.amount

    def with_fact(self, event: ProcessorEvent) -> "Dispute":
        """The dispute with one more fact; the order in which facts come makes no difference.

        Of two decisions that cannot both be, the one that was heard first stands.
        """
        decision = _DECISIONS.get(event.kind)
        if decision is not None and self.is_closed and decision is not self.state:
            return self
        told = replace(
            self,
            reason=self.reason or event.native_reason,
            opened_at=min(self.opened_at, event.occurred_at),
            funds_withdrawn=self.funds_withdrawn or event.kind in _WITHDRAWN,
            funds_reinstated=self.funds_reinstated
            or event.kind is FactKind.DISPUTE_FUNDS_REINSTATED,
        )
        if decision is not None and not self.is_closed:
            told = replace(told, state=decision, closed_at=event.occurred_at)
        if event.fee is not None and event.fee.currency == self.fee.currency and self.fee.is_zero:
            told = replace(told, fee=max(event.fee, self.fee))
        return told

    def disagrees_with(self, event: ProcessorEvent) -> bool:
        """Whether what an event tells and what was told before cannot both be so."""
        decision = _DECISIONS.get(event.kind)
        return (
            (decision is not None and self.is_closed and self.state is not decision)
            or (event.amount is not None and event.amount != self.amount)
            or (event.fee is not None and event.fee.currency != self.fee.currency)
            or (self.state is DisputeState.LOST and self.funds_reinstated)
        )
