"""Disputes: a customer's objection at the bank, as the processor tells of it."""

from dataclasses import dataclass
from datetime import datetime

from services.kernel.ids import DisputeId, StepId
from services.kernel.money import Money
from services.orchestrator.domain.state import DisputeState


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
