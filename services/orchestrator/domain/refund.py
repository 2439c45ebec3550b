"""Refunds: what is returned of a payment, from each step a part that is reserved beforehand."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.kernel.ids import RefundId, RefundPartId, StepId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode
from services.orchestrator.domain.state import RefundState


@dataclass(frozen=True, slots=True)
class RefundPart:
    """What a refund returns from one step, with one attempt of its own."""

    id: RefundPartId
    step_id: StepId
    amount: Money
    processor_id: str
    fee_returned: Money
    state: RefundState = RefundState.PENDING
    processor_reference: str | None = None
    error_code: ErrorCode | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """What a payment returns at one request, or by what a processor tells."""

    id: RefundId
    amount: Money
    reason: str
    idempotency_key: str
    parts: tuple[RefundPart, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def state(self) -> RefundState:
        """Succeeded when all of it was paid out; of one that failed, the parts say how much was."""
        states = {part.state for part in self.parts}
        if RefundState.PENDING in states:
            return RefundState.PENDING
        return RefundState.FAILED if RefundState.FAILED in states else RefundState.SUCCEEDED

    @property
    def returned(self) -> Money:
        """What was paid out."""
        return Money.total(
            (part.amount for part in self.parts if part.state is RefundState.SUCCEEDED),
            self.amount.currency,
        )

    @property
    def fee_returned(self) -> Money:
        """What the merchant got back of the platform's fee."""
        return Money.total((part.fee_returned for part in self.parts), self.amount.currency)

    def with_part(self, part: RefundPart, now: datetime) -> "Refund":
        parts = tuple(part if each.id == part.id else each for each in self.parts)
        return replace(self, parts=parts, updated_at=now)
