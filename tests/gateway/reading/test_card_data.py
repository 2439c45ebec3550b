"""Card numbers and security codes: refused in every place, and never said again."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reading import Caller, Incoming, Refusal, read_ledger_transaction, read_payment
from gateway.reading.rules.bodies import CARD_CODE, CARD_NUMBER
from services.kernel.errors import Reason
from tests.gateway.reading.requests import CALLER, KEYED, MERCHANT, NOW, send_payment

CARD = "4242424242424242"
CARDS = [
    CARD,
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "4242.4242.4242.4242",
    "4242/4242/4242/4242",
    "4242_4242_4242_4242",
    "4242, 4242, 4242, 4242",
    "4242\n4242\n4242\n4242",
    "4242\u200b4242\u200b4242\u200b4242",
    "4242\u00a04242\u00a04242\u00a04242",
    "\uff14\uff12" * 8,
    "4242 - 4242 - 4242 - 4242",
    "4242'4242'4242'4242",
    "378282246310005",
    "my card is 5555555555554444, thanks",
    4242424242424242,
    4.242424242424242e15,
]
BASE: dict[str, object] = {"amount": 1250, "currency": "USD", "method": "card"}


def refused(body: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        send_payment(json.dumps(body).encode())
    return caught.value


def told(refusal: Refusal) -> str:
    """Everything that a refusal says, in all the ways in which it may be written down."""
    return f"{refusal}{refusal.issues!r}{refusal.as_error()}{refusal.args}"


@pytest.mark.parametrize("card", CARDS, ids=repr)
@pytest.mark.parametrize(
    "place",
    [
        "amount",
        "currency",
        "method",
        "payment_method",
        "user_id",
        "email",
        "idempotency_key",
        "return_url",
        "description",
        "colour",
    ],
)
def test_a_card_number_is_refused_in_every_field(place: str, card: object) -> None:
    refusal = refused({**BASE, place: card})
    assert refusal.reason is Reason.CARD_NUMBER_PRESENT
    assert refusal.param == place
    digits = str(card)[:8] if isinstance(card, int | str) else "4.2424"
    assert digits not in told(refusal)


@pytest.mark.parametrize("card", [card for card in CARDS if isinstance(card, str)], ids=repr)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda card: {"metadata": {card: "x"}},
        lambda card: {"metadata": {"note": card}},
        lambda card: {"metadata": {"a": {"b": [{"c": card}]}}},
        lambda card: {card: 1},
        lambda card: {"steps": [{"method": "card", "payment_method": card}]},
        lambda card: {"payment": {"order": {"note": [[card]]}}},
    ],
)
def test_a_card_number_is_refused_at_any_depth_and_as_a_key(
    wrap: Callable[[str], dict[str, object]], card: str
) -> None:
    refusal = refused({**BASE, **wrap(card)})
    assert refusal.reason is Reason.CARD_NUMBER_PRESENT
    assert card[:8] not in told(refusal)


@pytest.mark.parametrize("name", ["cvc", "CVV", "cvv2", "card_cvc", "securityCode", "cardCvc"])
@pytest.mark.parametrize("value", ["123", 123, "", True, {"value": "123"}, ["1", "2"]])
def test_a_field_named_for_a_security_code_is_refused(name: str, value: object) -> None:
    refusal = refused({**BASE, "card": {name: value}})
    assert refusal.reason is Reason.CARD_NUMBER_PRESENT
    assert refusal.param == f"card.{name}"
    assert [issue.rule for issue in refusal.issues] == ["card.code"]


def test_a_security_code_that_is_only_spelled_out_is_refused() -> None:
    assert refused({**BASE, "metadata": {"note": "the cvc is 123"}}).param == "metadata.note"


def test_a_card_field_is_refused_even_when_a_digit_is_mistyped() -> None:
    refusal = refused({**BASE, "card": {"number": "4242424242424241"}})
    assert refusal.issues[0].rule == "card.number"


@pytest.mark.parametrize("header", ["Idempotency-Key", "Request-Id", "idempotency-key"])
def test_a_card_number_in_a_header_is_refused(header: str) -> None:
    with pytest.raises(Refusal) as caught:
        send_payment(json.dumps(BASE).encode(), headers={header: CARD})
    assert caught.value.reason is Reason.CARD_NUMBER_PRESENT
    assert CARD not in told(caught.value)


def test_a_card_number_in_the_query_is_refused() -> None:
    incoming = Incoming(BASE, KEYED, {"note": CARD})
    with pytest.raises(Refusal) as caught:
        read_payment(incoming, CALLER, received_at=NOW)
    assert caught.value.param == "query.note"
    assert CARD not in told(caught.value)


def test_a_card_number_in_a_ledger_transaction_is_refused() -> None:
    entries = [{"account": f"card:{CARD}", "amount": 1}, {"account": "b", "amount": -1}]
    with pytest.raises(Refusal) as caught:
        read_ledger_transaction(Incoming({"referenceId": "r", "entries": entries}, KEYED))
    assert caught.value.param == "entries[0].account"


def test_the_other_faults_of_a_request_with_a_card_in_it_are_told_too() -> None:
    refusal = refused({"amount": "many", "currency": CARD, "metadata": {"cvc": "1"}})
    rules = [(issue.rule, issue.field) for issue in refusal.issues if issue.severity == "error"]
    assert rules == [
        (CARD_NUMBER.id, "currency"),
        (CARD_CODE.id, "metadata.cvc"),
        ("amount.unreadable", "amount"),
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        {"user_id": "018f3c5e-7d1c-7a2b-9c4d-5e6f70819203"},
        {"metadata": {"seen_at": "1893456000000", "at": "2030-01-05T09:30:00.123456Z"}},
        {"metadata": {"order": "1234567890123456"}},
        {"metadata": {"sum": "9,999,999,999,999.00"}},
        {"country_code": "DE"},
        {"metadata": {"promo_code": "SUMMER", "company": "Spandex", "cvs": "no card"}},
        {"metadata": {"a": "4242", "b": "4242", "c": "4242", "d": "4242"}},
    ],
)
def test_what_only_resembles_card_data_is_accepted(harmless: dict[str, object]) -> None:
    assert send_payment(json.dumps({**BASE, **harmless}).encode()).context.amount.is_positive


separators = st.sampled_from(["", " ", "-", "_", "/", " - ", "\t", "\u2009", "\u200b", "~", " . "])
places = st.sampled_from(["amount", "user_id", "metadata", "steps", "odd"])


@given(separators, places, st.text(st.characters(codec="ascii", categories=["L", "P"]), max_size=5))
def test_no_separator_and_no_text_around_it_hides_a_card(
    separator: str, place: str, around: str
) -> None:
    card = separator.join(["4000", "0566", "5566", "5556"])
    refusal = refused({**BASE, place: [{"x": f"{around} {card} {around}"}]})
    assert refusal.reason is Reason.CARD_NUMBER_PRESENT
    assert "5566" not in told(refusal)


def test_secrets_are_not_repeated_in_issues() -> None:
    body = {**BASE, "api_key": "sk_live_abcdefghij", "client": "pi_1_secret_abcdef"}
    read = send_payment(json.dumps(body).encode(), caller=Caller(MERCHANT))
    assert "abcdef" not in repr(read.context.issues)
    assert len(read.context.issues) == 2
