"""Charges: one attempt to take money from a card, and what has become of that money since."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from sandbox.domain import balance
from sandbox.domain.payment_methods import Card, PaymentMethod
from sandbox.domain.work import Entity, Work

HOLD_SECONDS: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Entity):
    """An authorization, and its capture. `amount_released` is what a partial capture let go."""

    kind: ClassVar[str] = "charge"
    prefix: ClassVar[str] = "ch"

    payment_intent: str
    payment_method: str
    card: Card
    billing_details: dict[str, Any]
    amount: int
    currency: str
    state: str
    amount_captured: int = 0
    amount_refunded: int = 0
    amount_released: int = 0
    # What is gone right now; `disputed` stays true even when a dispute was won.
    amount_disputed: int = 0
    disputed: bool = False
    captured: bool = False
    capture_before: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    decline_code: str | None = None
    authenticated: bool = False
    balance_transaction: str | None = None
    customer: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    shipping: dict[str, Any] | None = None
    statement_descriptor_suffix: str | None = None
    transfer_group: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    refunds: tuple[str, ...] = ()
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def amount_refundable(self) -> int:
        """What was captured and has not gone back."""
        return self.amount_captured - self.amount_refunded


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeTerms:
    """What an intent asks of a charge."""

    payment_intent: str
    amount: int
    currency: str
    authenticated: bool
    customer: str | None
    description: str | None
    receipt_email: str | None
    shipping: dict[str, Any] | None
    statement_descriptor_suffix: str | None
    transfer_group: str | None
    metadata: dict[str, str]


def authorize(work: Work, terms: ChargeTerms, method: PaymentMethod) -> Charge:
    """Ask the card's bank: the charge either holds the money or says why not."""
    decline = method.card.catalogued.decline
    charge = work.put(
        Charge(
            **work.identity(Charge),
            payment_intent=terms.payment_intent,
            payment_method=method.id,
            card=method.card,
            billing_details=method.billing_details,
            amount=terms.amount,
            currency=terms.currency,
            state="succeeded" if decline is None else "failed",
            capture_before=work.now + HOLD_SECONDS if decline is None else None,
            failure_code=None if decline is None else decline.code,
            failure_message=None if decline is None else decline.message,
            decline_code=None if decline is None else decline.decline_code,
            authenticated=terms.authenticated,
            customer=terms.customer,
            description=terms.description,
            receipt_email=terms.receipt_email,
            shipping=terms.shipping,
            statement_descriptor_suffix=terms.statement_descriptor_suffix,
            transfer_group=terms.transfer_group,
            metadata=terms.metadata,
            request_id=work.origin.request_id,
            idempotency_key=work.origin.idempotency_key,
        )
    )
    if decline is not None:
        work.emit("charge.failed", charge)
    return charge


def capture(work: Work, charge: Charge, amount: int) -> Charge:
    """Take what is held, or a part of it; the rest is let go."""
    movement = balance.record(
        work,
        type="charge",
        amount=amount,
        currency=charge.currency,
        source=charge.id,
        fee=balance.processing_fee(amount),
        description=charge.description,
        available_at_once=charge.card.catalogued.funds_available_at_once,
    )
    return work.put(
        replace(
            charge,
            captured=True,
            amount_captured=amount,
            amount_released=charge.amount - amount,
            balance_transaction=movement.id,
            capture_before=None,
        )
    )


def release(work: Work, charge: Charge) -> Charge:
    """Let go of a hold that was never captured."""
    return work.put(replace(charge, amount_released=charge.amount, capture_before=None))
