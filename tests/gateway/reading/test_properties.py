"""Whatever is sent: it is read or refused, never anything else, and every guess is told."""

import json
from collections.abc import Callable
from typing import TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.reading import (
    Incoming,
    PaymentRequest,
    Refusal,
    decode_json,
    read_capture,
    read_confirmation,
    read_ledger_transaction,
    read_payment,
    read_refund,
    read_void,
)
from services.kernel.context import Severity, ValidationIssue
from services.kernel.redaction import find_card_numbers
from tests.gateway.reading.requests import (
    CALLER,
    KEYED,
    NOW,
    PAYMENT_ID,
    USD,
    Read,
    issues_of,
    shown,
)

_WORDS = (
    "amount currency method payment_method paymentMethod payment_method_types network user_id "
    "customer email country capture_method captureMethod confirm metadata steps split_policy "
    "return_url description idempotency_key idempotencyKey merchant_id plan_id payment order data "
    "total value entries referenceId account max_amount reason payment_id type id card token cvc "
    "number amount_minor"
)
_NAMES = st.sampled_from(_WORDS.split())
_ODD_TEXTS = (
    *("", "USD", "eur", "$", "card", "Apple Pay", "pm_card_visa", "visa", "4242 4242 4242 4242"),
    *("1,234", "$1.234,5", "10.-", "1e3", "kr 5", "manual", "true", "\u0000", "\ud800", "\u0663"),
)
_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(_ODD_TEXTS),
    st.from_regex(r"\A[-(+$€ ]{0,2}[0-9]{1,5}[.,' ]?[0-9]{0,4}[.,]?[0-9]{0,3} ?(USD|€|kr|)\)?\Z"),
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-5, 5000),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False),
    _TEXTS,
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.one_of(_NAMES, st.text(max_size=6)), inner, max_size=4)
    ),
    max_leaves=12,
)
_BODIES = st.dictionaries(st.one_of(_NAMES, st.text(max_size=6)), _VALUES, max_size=8)
_HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "Request-Id", "Accept"]), st.text(max_size=8), max_size=3
)

_READERS: list[Callable[[Incoming], Read]] = [
    lambda incoming: read_payment(incoming, CALLER, received_at=NOW),
    lambda incoming: read_confirmation(incoming, CALLER, payment_id=PAYMENT_ID),
    lambda incoming: read_capture(incoming, CALLER, payment_id=PAYMENT_ID, payment_currency=USD),
    lambda incoming: read_void(incoming, CALLER, payment_id=PAYMENT_ID),
    lambda incoming: read_refund(incoming, CALLER, payment_id=None, payment_currency=USD),
    read_ledger_transaction,
]


FieldT = TypeVar("FieldT")


def check_told(issues: tuple[ValidationIssue, ...]) -> None:
    for issue in issues:
        assert issue.message
        assert not find_card_numbers(f"{issue.raw} {issue.field} {issue.coerced} {issue.message}")


def outcome(read: Callable[[], FieldT]) -> FieldT | Refusal:
    """What was read, or the refusal; anything else that is raised fails the test."""
    try:
        return read()
    except Refusal as refusal:
        return refusal


@settings(max_examples=400)
@given(_BODIES, _HEADERS, st.dictionaries(_NAMES, _TEXTS, max_size=2), st.sampled_from(_READERS))
def test_any_value_is_read_or_refused(
    body: dict[str, object],
    headers: dict[str, str],
    query: dict[str, str],
    read: Callable[[Incoming], Read],
) -> None:
    came = outcome(lambda: read(Incoming(body, headers, query)))
    issues = came.issues if isinstance(came, Refusal) else issues_of(came)
    is_error = [issue.severity is Severity.ERROR for issue in issues]
    assert any(is_error) == isinstance(came, Refusal)
    check_told(issues)


@settings(max_examples=300)
@given(st.binary(max_size=60) | _VALUES.map(lambda value: json.dumps(value, default=str).encode()))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    came = outcome(lambda: decode_json(raw))
    assert came.issues if isinstance(came, Refusal) else isinstance(came.values, dict)


@settings(max_examples=400)
@given(
    st.fixed_dictionaries(
        {"amount": _LEAVES, "method": st.sampled_from(["card", "visa", "Apple Pay", "pm_1"])},
        optional={
            "currency": st.sampled_from(["USD", "usd", "€", " EUR "]),
            "user_id": st.one_of(st.text("ab ", max_size=3), st.integers(0, 9)),
            "captureMethod": st.sampled_from(["manual", "auto"]),
            "metadata": st.dictionaries(st.text("ab", min_size=1, max_size=3), _LEAVES, max_size=3),
            "colour": st.integers(),
        },
    )
)
def test_whatever_is_not_read_as_it_was_sent_leaves_an_issue(body: dict[str, object]) -> None:
    came = outcome(lambda: read_payment(Incoming(body, KEYED), CALLER, received_at=NOW))
    if isinstance(came, Refusal):
        assert came.issues
        return
    values = shown(came)
    values.pop("idempotency_key")
    sent = {name: value for name, value in body.items() if value not in (None, {})}
    assert came.context.issues or values == json.loads(json.dumps(sent, default=str))


@given(st.integers(1, 10**11), st.text("abc", max_size=5), st.booleans())
def test_reading_is_deterministic(amount_minor: int, user_id: str, is_manual: bool) -> None:
    body = {
        "amount": f"${amount_minor}.00",
        "userId": user_id,
        "capture": not is_manual,
        "metadata": {"b": 1, "a": 2},
    }
    headers = {**KEYED, "request-id": "req_018f3c5e7d1c7a2b9c4d5e6f70819204"}
    incoming = Incoming(body, headers)
    first = outcome(lambda: read_payment(incoming, CALLER, received_at=NOW))
    second = outcome(lambda: read_payment(incoming, CALLER, received_at=NOW))
    assert isinstance(first, PaymentRequest)
    assert first == second


@given(st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=5))
@example([2**63 - 1, -(2**63) + 1])
def test_every_amount_of_a_ledger_transaction_survives(amounts: list[int]) -> None:
    entries = [{"account": f"a:{n}", "amount": amount} for n, amount in enumerate(amounts)]
    body = {"idempotencyKey": "t", "referenceId": "r", "currency": "USD", "entries": entries}
    read = read_ledger_transaction(Incoming(body))
    assert [entry.amount.amount_minor for entry in read.entries] == amounts
    assert read.call.issues == ()
