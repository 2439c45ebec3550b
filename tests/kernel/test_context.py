"""The strict request: whole, unchangeable, and never holding what it must not."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest

from services.kernel.context import (
    CoreRequestContext,
    PaymentInstrument,
    PaymentMethod,
    Severity,
    StepPreference,
    ValidationIssue,
)
from services.kernel.ids import MerchantId, RequestId
from services.kernel.money import Currency, Money

USD = Currency("USD")
CARD = PaymentInstrument(PaymentMethod.CARD, "pm_card_visa")
REQUEST = CoreRequestContext(
    request_id=RequestId.new(),
    merchant_id=MerchantId.new(),
    idempotency_key="order-17",
    amount=Money(10_000, USD),
    instrument=CARD,
    email="ada@example.com",
    metadata={"order": "17", "basket": "b"},
    received_at=datetime(2026, 3, 29, 12, tzinfo=UTC),
)

MISTAKES: list[tuple[str, Callable[[], object]]] = [
    ("amount is positive", lambda: replace(REQUEST, amount=Money(0, USD))),
    ("amount is positive", lambda: replace(REQUEST, amount=Money(-1, USD))),
    ("idempotency_key has 1 to 255", lambda: replace(REQUEST, idempotency_key="")),
    ("idempotency_key has 1 to 255", lambda: replace(REQUEST, idempotency_key="k" * 256)),
    ("idempotency_key holds no NUL", lambda: replace(REQUEST, idempotency_key="a\0b")),
    ("user_id holds no NUL", lambda: replace(REQUEST, user_id="a\0b")),
    ("user_id has 1 to 255", lambda: replace(REQUEST, user_id="")),
    ("user_id has 1 to 255", lambda: replace(REQUEST, user_id="u" * 256)),
    ("two capital letters", lambda: replace(REQUEST, country="de")),
    ("two capital letters", lambda: replace(REQUEST, country="DEU")),
    ("receipt is in UTC", lambda: replace(REQUEST, received_at=datetime(2026, 3, 29))),  # noqa: DTZ001 -- the mistake
    (
        "in the currency of the payment",
        lambda: replace(REQUEST, steps=(StepPreference(CARD, Money(1, Currency("EUR"))),)),
    ),
    ("at most 16 steps", lambda: replace(REQUEST, steps=(StepPreference(CARD),) * 17)),
    ("maximum is positive", lambda: StepPreference(CARD, Money(0, USD))),
    ("absent rather than empty", lambda: PaymentInstrument(PaymentMethod.CARD, "")),
    ("at most 50 keys", lambda: replace(REQUEST, metadata={str(i): "" for i in range(51)})),
    ("metadata key has 1 to 40", lambda: replace(REQUEST, metadata={"": "x"})),
    ("metadata key has 1 to 40", lambda: replace(REQUEST, metadata={"k" * 41: "x"})),
    ("at most 500 characters", lambda: replace(REQUEST, metadata={"k": "x" * 501})),
]


def issue(field: str, raw: str, coerced: str = "1250 USD") -> ValidationIssue:
    return ValidationIssue("amount.symbol", Severity.INFO, field, raw, coerced, "send minor units")


@pytest.mark.parametrize(("rule", "mistake"), MISTAKES)
def test_an_illegal_value_is_a_mistake(rule: str, mistake: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=rule):
        mistake()


def test_a_request_at_every_limit_is_sound() -> None:
    full = replace(
        REQUEST,
        idempotency_key="k" * 255,
        user_id="u" * 255,
        country="DE",
        steps=(StepPreference(CARD, Money(1, USD)), *(StepPreference(CARD),) * 15),
        metadata={f"{i:040}": "x" * 500 for i in range(50)},
    )
    assert len(full.steps) == 16
    assert len(full.metadata) == 50


def test_a_request_never_changes_even_where_it_was_given_something_that_does() -> None:
    given = {"order": "17"}
    request = replace(REQUEST, metadata=given)
    given["order"] = "18"

    assert request.metadata == {"order": "17"}
    with pytest.raises(TypeError):
        request.metadata["order"] = "18"  # type: ignore[index]  # the mistake being refused
    with pytest.raises(FrozenInstanceError):
        request.user_id = "eve"  # type: ignore[misc]  # the mistake being refused


def test_equal_requests_are_written_alike_whatever_order_metadata_came_in() -> None:
    turned = replace(REQUEST, metadata=dict(reversed(list(REQUEST.metadata.items()))))

    assert turned == REQUEST
    assert hash(turned) == hash(REQUEST)
    assert list(turned.metadata) == list(REQUEST.metadata) == ["basket", "order"]


def test_a_printed_request_shows_neither_email_nor_token() -> None:
    assert "ada@example.com" not in repr(REQUEST)
    assert "pm_card_visa" not in repr(REQUEST)


@pytest.mark.parametrize(
    ("field", "raw", "kept"),
    [
        ("note", "my card 4242 4242 4242 4242", "my card [card number]"),
        ("card.cvc", "123", "[redacted]"),
        ("card.number", "4242424242424241", "[card number]"),
        ("amount", "$12.50", "$12.50"),
    ],
)
def test_an_issue_never_keeps_card_data(field: str, raw: str, kept: str) -> None:
    made = issue(field, raw, coerced=raw)
    assert (made.raw, made.coerced) == (kept, kept)


def test_an_issue_keeps_only_the_beginning_of_a_long_value() -> None:
    assert issue("amount", "x" * 200).raw == "x" * 200
    assert issue("amount", "x" * 201).raw == "x" * 199 + "…"


def test_a_card_number_across_the_cut_of_an_issue_leaves_no_digits() -> None:
    assert "4242" not in issue("note", "x" * 190 + " 4242424242424242").raw


def test_an_issue_names_its_rule() -> None:
    with pytest.raises(ValueError, match="names its rule"):
        ValidationIssue("", Severity.INFO, "amount", "1", "1", "m")
