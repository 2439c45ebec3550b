"""Confirming a payment intent: authentication where it is due, then the charge."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.domain import charges, payment_methods
from sandbox.domain.cards import Authentication
from sandbox.domain.charges import Charge, ChargeTerms
from sandbox.domain.payment_intents import (
    CONFIRMABLE,
    UNEXPECTED_STATE,
    PaymentError,
    PaymentIntent,
    State,
    take,
    unexpected,
)
from sandbox.domain.payment_methods import PaymentMethod
from sandbox.domain.work import Work
from sandbox.errors import CardError, InvalidRequest, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """How an intent is to be confirmed."""

    return_url: str | None = None
    off_session: bool = False
    error_on_requires_action: bool = False


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
        raise unexpected(intent, "confirmed", CONFIRMABLE)
    if intent.payment_method is None:
        raise Refused(
            "The PaymentIntent has no payment method; set one or pass one when confirming.",
            code=UNEXPECTED_STATE,
            entity=intent,
        )
    method = work.get(PaymentMethod, intent.payment_method, param="payment_method")
    if how.return_url is not None:
        intent = replace(intent, return_url=how.return_url)
    if intent.allow_redirects == "always" and intent.return_url is None:
        raise InvalidRequest(
            "A return_url is required: this PaymentIntent accepts payment methods that may"
            " redirect. To do without, create it with"
            " automatic_payment_methods[allow_redirects]=never or with"
            " allowed_payment_method_types[]=card.",
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
    return take(work, intent, charge, intent.amount, announce="charge.succeeded")


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
