"""Payment intents: the state machine from a wish to be paid to money taken, or not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from sandbox.domain import charges, disputes, payment_methods
from sandbox.domain.cards import Authentication
from sandbox.domain.charges import Charge, ChargeTerms
from sandbox.domain.payment_methods import PaymentMethod
from sandbox.domain.work import Entity, Work
from sandbox.errors import CardError, InvalidRequest, Refused

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """How an intent is to be confirmed."""

    return_url: str | None = None
    off_session: bool = False
    error_on_requires_action: bool = False


def client_secret(work: Work, intent_id: str, sequence: int) -> str:
    """What a browser needs to see one intent and no other."""
    return f"{intent_id}_secret_{work.seed.token('client_secret', sequence)}"


def choose_method(work: Work, intent: PaymentIntent, method: PaymentMethod) -> PaymentIntent:
    """Set the payment method an intent will be confirmed with."""
    if method.customer is not None and method.customer != intent.customer:
        raise Refused(
            "The payment method belongs to a customer; name that customer to use it.",
            code="payment_method_customer_mismatch",
            param="payment_method",
        )
    state = intent.state
    if state is State.REQUIRES_PAYMENT_METHOD:
        state = State.REQUIRES_CONFIRMATION
    return work.put(replace(intent, payment_method=method.id, state=state, last_payment_error=None))


def confirm(work: Work, intent: PaymentIntent, how: Confirmation) -> PaymentIntent:
    """Try to take (or hold) the money; may stop to let the customer authenticate."""
    if intent.state not in CONFIRMABLE:
        raise _unexpected(intent, "confirmed", CONFIRMABLE)
    if intent.payment_method is None:
        raise Refused(
            "The PaymentIntent has no payment method; set one or pass one when confirming.",
            code=UNEXPECTED_STATE,
            entity=intent,
        )
    method = work.get(PaymentMethod, intent.payment_method, param="payment_method")
    intent = replace(intent, return_url=how.return_url or intent.return_url)
    if intent.allow_redirects == "always" and intent.return_url is None:
        raise InvalidRequest(
            "A return_url is required: this PaymentIntent accepts payment methods that may"
            " redirect. To do without, create it with"
            " automatic_payment_methods[allow_redirects]=never or with payment_method_types.",
            param="return_url",
        )
    if not _must_authenticate(intent, method, how):
        return _charge(work, intent, method)
    if how.off_session or how.error_on_requires_action:
        return _refuse_without_authentication(work, intent, method)
    waiting = work.put(replace(intent, state=State.REQUIRES_ACTION, last_payment_error=None))
    work.emit("payment_intent.requires_action", waiting)
    return waiting


def _must_authenticate(intent: PaymentIntent, method: PaymentMethod, how: Confirmation) -> bool:
    asked_by_card = method.card.catalogued.authentication
    asked_by_merchant = intent.payment_method_options.get("card", {}).get("request_three_d_secure")
    if intent.authenticated:
        return False
    if asked_by_card is Authentication.ON_SESSION:
        return not how.off_session
    return asked_by_card is Authentication.ALWAYS or asked_by_merchant == "challenge"


def _charge(work: Work, intent: PaymentIntent, method: PaymentMethod) -> PaymentIntent:
    terms = ChargeTerms(
        payment_intent=intent.id,
        amount=intent.amount,
        currency=intent.currency,
        authenticated=intent.authenticated,
        customer=intent.customer,
        description=intent.description,
        receipt_email=intent.receipt_email,
        shipping=intent.shipping,
        statement_descriptor_suffix=intent.statement_descriptor_suffix,
        transfer_group=intent.transfer_group,
        metadata=intent.metadata,
    )
    charge = charges.authorize(work, terms, method)
    intent = replace(intent, latest_charge=charge.id)
    if charge.failure_code is not None:
        return _declined(work, intent, method, charge)
    _keep_for_customer(work, intent, method)
    if intent.capture_method == "manual":
        return _hold(work, intent, charge)
    return _take(work, intent, charge, intent.amount, announce="charge.succeeded")


def _keep_for_customer(work: Work, intent: PaymentIntent, method: PaymentMethod) -> None:
    if intent.setup_future_usage and intent.customer and method.customer is None:
        payment_methods.attach(work, method, intent.customer)


def _hold(work: Work, intent: PaymentIntent, charge: Charge) -> PaymentIntent:
    held = work.put(
        replace(
            intent,
            state=State.REQUIRES_CAPTURE,
            amount_capturable=intent.amount,
            capture_before=charge.capture_before,
            last_payment_error=None,
        )
    )
    work.emit("charge.succeeded", charge)
    work.emit("payment_intent.amount_capturable_updated", held)
    return held


def _take(
    work: Work, intent: PaymentIntent, charge: Charge, amount: int, *, announce: str
) -> PaymentIntent:
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


def _declined(
    work: Work, intent: PaymentIntent, method: PaymentMethod, charge: Charge
) -> PaymentIntent:
    error = PaymentError(
        type="card_error",
        code=charge.failure_code or "card_declined",
        decline_code=charge.decline_code,
        message=charge.failure_message or "",
        payment_method=method,
        charge=charge.id,
    )
    raise _failed(work, intent, error)


def _refuse_without_authentication(
    work: Work, intent: PaymentIntent, method: PaymentMethod
) -> PaymentIntent:
    error = PaymentError(
        type="card_error",
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined: its bank asks for authentication.",
        payment_method=method,
    )
    raise _failed(work, intent, error)


def _failed(work: Work, intent: PaymentIntent, error: PaymentError) -> CardError:
    failed = work.put(
        replace(
            intent,
            state=State.REQUIRES_PAYMENT_METHOD,
            payment_method=None,
            authenticated=False,
            last_payment_error=error,
        )
    )
    work.emit("payment_intent.payment_failed", failed)
    return CardError(
        error.message,
        code=error.code,
        decline_code=error.decline_code,
        charge=error.charge,
        entity=failed,
    )


def authentication_succeeded(work: Work, intent: PaymentIntent) -> PaymentIntent:
    """The customer proved who they are; a declined charge afterwards is kept, not raised."""
    proven = work.put(replace(intent, authenticated=True, state=State.REQUIRES_CONFIRMATION))
    if intent.confirmation_method == "manual":
        return proven
    try:
        return confirm(work, proven, Confirmation())
    except CardError as declined:
        failed: PaymentIntent = declined.entity
        return failed


def authentication_failed(work: Work, intent: PaymentIntent) -> PaymentIntent:
    """The customer could not or would not authenticate; another method may be tried."""
    assert intent.payment_method is not None
    error = PaymentError(
        type="invalid_request_error",
        code="payment_intent_authentication_failure",
        message="The payment method could not be authenticated. Please try another one.",
        payment_method=work.get(PaymentMethod, intent.payment_method),
    )
    failed: PaymentIntent = _failed(work, intent, error).entity
    return failed


def capture(work: Work, intent: PaymentIntent, amount: int | None) -> PaymentIntent:
    """Take what is held, or a part of it."""
    if intent.state is not State.REQUIRES_CAPTURE or intent.latest_charge is None:
        raise _unexpected(intent, "captured", {State.REQUIRES_CAPTURE})
    if amount is not None and amount > intent.amount_capturable:
        raise Refused(
            f"The amount to capture ({amount}) is more than can be captured"
            f" ({intent.amount_capturable}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    charge = work.get(Charge, intent.latest_charge)
    taken = intent.amount_capturable if amount is None else amount
    return _take(work, intent, charge, taken, announce="charge.captured")


def cancel(work: Work, intent: PaymentIntent, reason: str | None) -> PaymentIntent:
    """Give an intent up; what it holds is let go."""
    if intent.state not in CANCELABLE:
        raise _unexpected(intent, "canceled", CANCELABLE)
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


def _unexpected(
    intent: PaymentIntent, done: str, allowed: frozenset[State] | set[State]
) -> Refused:
    states = ", ".join(sorted(allowed))
    return Refused(
        f"This PaymentIntent is {intent.state} and cannot be {done};"
        f" it would have to be one of: {states}.",
        code=UNEXPECTED_STATE,
        entity=intent,
    )
