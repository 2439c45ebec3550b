"""What is asked of a payment that exists: confirm, capture, void, refund."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.reading.amounts import read_amount, unnest
from gateway.reading.instruments import MEANS_ALIASES, MEANS_KEYS, read_instrument
from gateway.reading.names import Vocabulary
from gateway.reading.reading import Call, Caller, Incoming, Reading
from gateway.reading.rules import amounts
from gateway.reading.units import CurrencyTerms, read_currency
from gateway.reading.values import read_text, read_url
from services.kernel.context import PaymentInstrument
from services.kernel.ids import PaymentId
from services.kernel.money import Currency, Money

MAX_REASON_CHARACTERS: Final = 500

_SHARED_KEYS: Final = ("idempotency_key", "merchant_id", "payment_id")
_SHARED_ALIASES: Final = {
    "merchant": "merchant_id",
    "payment": "payment_id",
    "payment_intent": "payment_id",
    "payment_intent_id": "payment_id",
}


def _vocabulary(*keys: str, **aliases: str) -> Vocabulary:
    return Vocabulary(
        canonical={key: key for key in (*_SHARED_KEYS, *keys)},
        aliases={**_SHARED_ALIASES, **aliases},
        envelopes=frozenset({"body", "data", "payload", "request", "refund", "capture"}),
    )


_CONFIRMATION: Final = _vocabulary(
    *MEANS_KEYS, "return_url", **MEANS_ALIASES, redirect_url="return_url"
)
_AMOUNT_ALIASES: Final = dict.fromkeys(
    ("total", "total_amount", "value", "amount_minor", "amount_cents"), "amount"
)
_CAPTURE: Final = _vocabulary(
    "amount",
    "currency",
    **_AMOUNT_ALIASES,
    amount_to_capture="amount",
    currency_code="currency",
)
_VOID: Final = _vocabulary("reason", cancellation_reason="reason")
_REFUND: Final = _vocabulary(
    *("amount", "currency", "reason"),
    charge="payment_id",
    **_AMOUNT_ALIASES,
    refund_amount="amount",
    currency_code="currency",
)
_read_reason = partial(read_text, max_characters=MAX_REASON_CHARACTERS)


@dataclass(frozen=True, slots=True)
class ConfirmCommand:
    """Set a payment going, with what its customer pays with if that was not said before."""

    call: Call
    payment_id: PaymentId
    instrument: PaymentInstrument | None
    return_url: str | None


@dataclass(frozen=True, slots=True)
class CaptureCommand:
    """Take what is held; no amount means all of it."""

    call: Call
    payment_id: PaymentId
    amount: Money | None


@dataclass(frozen=True, slots=True)
class VoidCommand:
    """Release what is held."""

    call: Call
    payment_id: PaymentId
    reason: str | None


@dataclass(frozen=True, slots=True)
class RefundCommand:
    """Return what was taken; no amount means all that is left."""

    call: Call
    payment_id: PaymentId
    amount: Money | None
    reason: str | None


def read_confirmation(incoming: Incoming, caller: Caller, *, payment_id: str) -> ConfirmCommand:
    """The confirmation that a request asks for. Raises Refusal."""
    reading = Reading(_CONFIRMATION, incoming, caller.merchant_id)
    target = reading.payment_id(payment_id)
    instrument = read_instrument(reading.claims, reading.notes)
    return_url = reading.pick("return_url", read_url)
    call = reading.settle()
    assert target is not None, "a request about no payment is refused"
    return ConfirmCommand(call, target, instrument, return_url)


def read_capture(
    incoming: Incoming, caller: Caller, *, payment_id: str, payment_currency: Currency
) -> CaptureCommand:
    """The capture that a request asks for. Raises Refusal."""
    reading = Reading(_CAPTURE, incoming, caller.merchant_id)
    target = reading.payment_id(payment_id)
    amount = _read_part(reading, payment_currency)
    call = reading.settle()
    assert target is not None, "a request about no payment is refused"
    return CaptureCommand(call, target, amount)


def read_void(incoming: Incoming, caller: Caller, *, payment_id: str) -> VoidCommand:
    """The void that a request asks for. Raises Refusal."""
    reading = Reading(_VOID, incoming, caller.merchant_id)
    target = reading.payment_id(payment_id)
    reason = reading.pick("reason", _read_reason)
    call = reading.settle()
    assert target is not None, "a request about no payment is refused"
    return VoidCommand(call, target, reason)


def read_refund_target(incoming: Incoming) -> PaymentId:
    """The payment that POST /refunds is about, to learn its merchant and currency from.

    Raises Refusal.
    """
    reading = Reading(_REFUND, incoming, None)
    target = reading.payment_id(None)
    reading.settle()
    assert target is not None, "a request about no payment is refused"
    return target


def read_refund(
    incoming: Incoming, caller: Caller, *, payment_id: str | None, payment_currency: Currency
) -> RefundCommand:
    """The refund that a request asks for; without a payment in its path, of the one in its body.

    Raises Refusal.
    """
    reading = Reading(_REFUND, incoming, caller.merchant_id)
    target = reading.payment_id(payment_id)
    amount = _read_part(reading, payment_currency)
    reason = reading.pick("reason", _read_reason)
    call = reading.settle()
    assert target is not None, "a request about no payment is refused"
    return RefundCommand(call, target, amount, reason)


def _read_part(reading: Reading, payment_currency: Currency) -> Money | None:
    """An amount of a payment, which is in the payment's currency or means nothing."""
    unnest(reading.claims, "amount", reading.notes)
    terms = CurrencyTerms(reading.pick("currency", read_currency), payment_currency)
    amount = reading.pick("amount", partial(read_amount, terms=terms))
    if amount is not None and amount.currency != payment_currency:
        path, value = reading.claims["amount"][0]
        told = f"That is {payment_currency}."
        reading.notes.note(amounts.CURRENCY_OF_ANOTHER, path, value, message=told)
    return amount
