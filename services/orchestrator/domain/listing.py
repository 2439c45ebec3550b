"""Which payments are asked for."""

from dataclasses import dataclass
from datetime import datetime

from services.kernel.ids import MerchantId
from services.orchestrator.domain.state import PaymentState, PostingState


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """What the payments of a list have in common; what is None or empty leaves that open."""

    merchant_id: MerchantId | None = None
    states: tuple[PaymentState, ...] = ()
    user_id: str | None = None
    processor_reference: str | None = None
    in_doubt: bool | None = None
    posting_states: tuple[PostingState, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None
