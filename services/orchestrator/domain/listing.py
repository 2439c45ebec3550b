"""Which payments, and which parts of payments, are asked for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from services.kernel.ids import MerchantId, PaymentId
from services.orchestrator.domain.state import (
    DisputeState,
    PaymentState,
    PostingState,
    RefundState,
)

Part = TypeVar("Part")


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


@dataclass(frozen=True, slots=True)
class RefundFilter:
    """What the refunds of a list have in common."""

    merchant_id: MerchantId | None = None
    payment_id: PaymentId | None = None
    states: tuple[RefundState, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class DisputeFilter:
    """What the disputes of a list have in common; they are made when the bank opens them."""

    merchant_id: MerchantId | None = None
    payment_id: PaymentId | None = None
    states: tuple[DisputeState, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class PostingFilter:
    """What the postings of a list have in common."""

    merchant_id: MerchantId | None = None
    payment_id: PaymentId | None = None
    states: tuple[PostingState, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """What the requests of a list have in common."""

    merchant_id: MerchantId | None = None
    received_from: datetime | None = None
    received_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class OfPayment(Generic[Part]):
    """A part of a payment, read by itself, with whose it is."""

    payment_id: PaymentId
    merchant_id: MerchantId
    part: Part
