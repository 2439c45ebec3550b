"""A payment request made strict, for POST /payments and POST /payment_intents."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from gateway.reading.amounts import read_amount, unnest
from gateway.reading.instruments import (
    MEANS_ALIASES,
    MEANS_KEYS,
    read_instrument_or_card,
    read_steps,
)
from gateway.reading.metadata import add_entry, check_count, read_metadata
from gateway.reading.names import Vocabulary
from gateway.reading.reading import Caller, Incoming, Reading
from gateway.reading.rules import amounts, fields
from gateway.reading.units import CurrencyTerms, read_currency
from gateway.reading.values import (
    read_choice,
    read_country,
    read_email,
    read_flag,
    read_text,
    read_url,
)
from services.kernel.context import (
    MAX_USER_ID_CHARACTERS,
    CaptureMethod,
    CoreRequestContext,
    SplitPolicy,
    StepPreference,
)
from services.kernel.money import Money

_ENVELOPES: Final = frozenset(
    {
        *("attributes", "body", "charge", "data", "object", "order", "payload", "payment"),
        *("payment_intent", "request", "transaction"),
    }
)
_KEPT_WITH_METADATA: Final = ("description", "statement_descriptor")
_PLACE: Final = {"country": "country", "country_code": "country"}
_PERSON: Final = {**_PLACE, "id": "user_id", "email": "email"}

_PAYMENT: Final = Vocabulary(
    canonical={
        key: key
        for key in (
            *("amount", "currency", *MEANS_KEYS, "user_id", "email", "country", "capture_method"),
            *("metadata", "steps", "split_policy", "return_url", "confirm", "plan_id"),
            *("idempotency_key", "merchant_id", *_KEPT_WITH_METADATA),
        )
    },
    aliases={
        **MEANS_ALIASES,
        "total": "amount",
        "total_amount": "amount",
        "amount_total": "amount",
        "amount_minor": "amount",
        "amount_cents": "amount",
        "amount_in_cents": "amount",
        "value": "amount",
        "currency_code": "currency",
        "user": "user_id",
        "customer": "user_id",
        "customer_id": "user_id",
        "customer_email": "email",
        "receipt_email": "email",
        "country_code": "country",
        "customer_country": "country",
        "capture": "capture_method",
        "meta": "metadata",
        "splits": "steps",
        "payment_steps": "steps",
        "redirect_url": "return_url",
        "merchant": "merchant_id",
        "plan": "plan_id",
    },
    envelopes=_ENVELOPES,
    records={
        "customer": _PERSON,
        "user": _PERSON,
        "billing_details": {**_PLACE, "email": "email"},
        "address": _PLACE,
        "billing_address": _PLACE,
    },
)
_CAPTURE_METHODS: Final = {
    **{method.value: method for method in CaptureMethod},
    **dict.fromkeys(
        ("auto", "automaticasync", "immediate", "true"),
        CaptureMethod.AUTOMATIC,
    ),
    **dict.fromkeys(("delayed", "deferred", "false"), CaptureMethod.MANUAL),
}
_SPLIT_POLICIES: Final = {
    **{policy.value: policy for policy in SplitPolicy},
    "allornothing": SplitPolicy.ALL_OR_NOTHING,
}
_read_capture_method = partial(read_choice, choices=_CAPTURE_METHODS)
_read_split_policy = partial(read_choice, choices=_SPLIT_POLICIES)
_read_user_id = partial(read_text, max_characters=MAX_USER_ID_CHARACTERS)


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A payment to be made; `confirm` is what an intent says of being confirmed at once."""

    context: CoreRequestContext
    confirm: bool | None = None


def read_payment(incoming: Incoming, caller: Caller, *, received_at: datetime) -> PaymentRequest:
    """The payment that a request asks for. Raises Refusal."""
    reading = Reading(_PAYMENT, incoming, caller.merchant_id)
    notes, claims = reading.notes, reading.claims
    amount = _read_amount(reading, caller)
    steps = _read_steps(reading, amount)
    instrument = read_instrument_or_card(claims, "", steps, notes)
    capture_method = reading.pick("capture_method", _read_capture_method)
    split_policy = reading.pick("split_policy", _read_split_policy)
    user_id = reading.pick("user_id", _read_user_id)
    email = reading.pick("email", read_email)
    country = reading.pick("country", read_country)
    return_url = reading.pick("return_url", read_url)
    confirm = reading.pick("confirm", read_flag)
    metadata = _read_metadata(reading)
    for path, value in claims.get("plan_id", ()):
        notes.note(fields.PLAN_UNKNOWN, path, value)
    call = reading.settle()
    assert amount is not None, "a request without an amount is refused"
    assert instrument is not None, "a request whose method means nothing is refused"
    context = CoreRequestContext(
        request_id=call.request_id,
        merchant_id=caller.merchant_id,
        api_key_id=caller.api_key_id,
        idempotency_key=call.idempotency_key,
        idempotency_key_generated=call.idempotency_key_generated,
        amount=amount,
        instrument=instrument,
        steps=steps,
        split_policy=split_policy,
        capture_method=capture_method,
        user_id=user_id,
        email=email,
        country=country,
        return_url=return_url,
        metadata=metadata,
        issues=call.issues,
        received_at=received_at,
    )
    return PaymentRequest(context, confirm)


def _read_amount(reading: Reading, caller: Caller) -> Money | None:
    unnest(reading.claims, "amount", reading.notes)
    terms = CurrencyTerms(
        reading.pick("currency", read_currency),
        caller.default_currency,
        amounts.CURRENCY_DEFAULT,
    )
    # What a billing plan costs is the plan's to say.
    if not reading.has("amount") and not reading.has("plan_id"):
        reading.notes.note(amounts.MISSING, "amount")
    return reading.pick("amount", partial(read_amount, terms=terms))


def _read_steps(reading: Reading, amount: Money | None) -> tuple[StepPreference, ...]:
    if not reading.has("steps"):
        return ()
    currency = amount.currency if amount is not None else None
    return reading.pick("steps", partial(read_steps, currency=currency)) or ()


def _read_metadata(reading: Reading) -> dict[str, str]:
    entries = reading.pick("metadata", read_metadata) or {}
    for name in _KEPT_WITH_METADATA:
        for claim in reading.claims.get(name, ()):
            add_entry(entries, name, claim, reading.notes)
    check_count(entries, "metadata", reading.notes)
    return entries
