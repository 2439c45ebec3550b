"""Payment intents: the state machine from a wish to be paid to money taken, or not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from sandbox.domain import charges, disputes
from sandbox.domain.charges import Charge
from sandbox.domain.payment_methods import PaymentMethod
from sandbox.domain.work import Entity, Work
from sandbox.errors import Refused

UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"


class State(StrEnum):
    """Where a payment intent stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"


CONFIRMABLE: Final = frozenset(
    {State.REQUIRES_PAYMENT_METHOD, State.REQUIRES_CONFIRMATION, State.REQUIRES_ACTION}
)
CANCELABLE: Final = CONFIRMABLE | {State.REQUIRES_CAPTURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentError:
    """Why the last attempt failed, with the method that was tried."""

    type: str
    code: str
    message: str
    payment_method: PaymentMethod
    decline_code: str | None = None
    charge: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntent(Entity):
    """One payment a merchant wants, through every attempt until it is paid or given up."""

    kind: ClassVar[str] = "payment_intent"
    prefix: ClassVar[str] = "pi"

    amount: int
    currency: str
    client_secret: str
    state: State = State.REQUIRES_PAYMENT_METHOD
    capture_method: str = "automatic_async"
    confirmation_method: str = "automatic"
    # None when the merchant named the method types itself.
    allow_redirects: str | None = None
    payment_method_types: tuple[str, ...] = ("card",)
    allowed_payment_method_types: tuple[str, ...] | None = None
    payment_method_options: dict[str, Any] = field(default_factory=dict)
    payment_method: str | None = None
    customer: str | None = None
    return_url: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    setup_future_usage: str | None = None
    shipping: dict[str, Any] | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    transfer_group: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    amount_capturable: int = 0
    amount_received: int = 0
    authenticated: bool = False
    latest_charge: str | None = None
    last_payment_error: PaymentError | None = None
    capture_before: int | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None

    @property
    def due_at(self) -> int | None:
        """A hold that is not captured in time is let go."""
        return self.capture_before


def client_secret(work: Work, intent_id: str, sequence: int) -> str:
    """What a browser needs to see one intent and no other."""
    return f"{intent_id}_secret_{work.seed.token('client_secret', sequence)}"


def take(
    work: Work, intent: PaymentIntent, charge: Charge, amount: int, *, announce: str
) -> PaymentIntent:
    """Capture an intent's charge: the money is the merchant's."""
    captured = charges.capture(work, charge, amount)
    work.emit(announce, captured)
    paid = work.put(
        replace(
            intent,
            state=State.SUCCEEDED,
            amount_capturable=0,
            amount_received=amount,
            capture_before=None,
            last_payment_error=None,
        )
    )
    work.emit("payment_intent.succeeded", paid)
    disputes.open_if_card_disputes(work, captured)
    return paid


def capture(work: Work, intent: PaymentIntent, amount: int | None) -> PaymentIntent:
    """Take what is held, or a part of it."""
    if intent.state is not State.REQUIRES_CAPTURE or intent.latest_charge is None:
        raise unexpected(intent, "captured", {State.REQUIRES_CAPTURE})
    if amount is not None and amount > intent.amount_capturable:
        raise Refused(
            f"The amount to capture ({amount}) is more than can be captured"
            f" ({intent.amount_capturable}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    charge = work.get(Charge, intent.latest_charge)
    taken = intent.amount_capturable if amount is None else amount
    return take(work, intent, charge, taken, announce="charge.captured")


def cancel(work: Work, intent: PaymentIntent, reason: str | None) -> PaymentIntent:
    """Give an intent up; what it holds is let go."""
    if intent.state not in CANCELABLE:
        raise unexpected(intent, "canceled", CANCELABLE)
    return _cancel(work, intent, reason, announce="charge.refunded")


def expire_hold(work: Work, intent: PaymentIntent) -> PaymentIntent:
    """A hold that nobody captured in time ends by itself."""
    return _cancel(work, intent, "automatic", announce="charge.expired")


def _cancel(
    work: Work, intent: PaymentIntent, reason: str | None, *, announce: str
) -> PaymentIntent:
    if intent.state is State.REQUIRES_CAPTURE and intent.latest_charge is not None:
        work.emit(announce, charges.release(work, work.get(Charge, intent.latest_charge)))
    canceled = work.put(
        replace(
            intent,
            state=State.CANCELED,
            amount_capturable=0,
            capture_before=None,
            canceled_at=work.now,
            cancellation_reason=reason,
        )
    )
    work.emit("payment_intent.canceled", canceled)
    return canceled


def unexpected(intent: PaymentIntent, done: str, allowed: frozenset[State] | set[State]) -> Refused:
    """The refusal of something an intent's state does not allow."""
    states = ", ".join(sorted(allowed))
    return Refused(
        f"This PaymentIntent is {intent.state} and cannot be {done};"
        f" it would have to be one of: {states}.",
        code=UNEXPECTED_STATE,
        entity=intent,
    )
