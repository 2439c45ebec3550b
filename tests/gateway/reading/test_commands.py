"""What is asked of a payment that exists, and of the ledger."""

import json

import pytest

from gateway.reading import (
    CaptureCommand,
    ConfirmCommand,
    Incoming,
    LedgerTransactionRequest,
    RefundCommand,
    Refusal,
    read_refund_target,
)
from services.kernel.errors import Reason
from services.kernel.money import Currency, Money
from tests.gateway.reading.requests import (
    KEYED,
    PAYMENT_ID,
    USD,
    issues_of,
    send,
    shown,
)


def command(operation: str, body: object) -> str:
    text = json.dumps(body) if body is not None else ""
    return f"POST /payments/{PAYMENT_ID}/{operation}\nIdempotency-Key: order-17\n\n{text}"


def refused(text: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        send(text)
    return caught.value


@pytest.mark.parametrize("operation", ["confirm", "capture", "void", "refund"])
def test_a_command_needs_no_body(operation: str) -> None:
    read = send(command(operation, None))
    assert shown(read) == {"idempotency_key": "order-17", "payment_id": PAYMENT_ID}
    assert issues_of(read) == ()


def test_a_partial_refund_in_canonical_form_leaves_no_issue() -> None:
    read = send(command("refund", {"amount": 500, "reason": "returned"}))
    assert isinstance(read, RefundCommand)
    assert (read.amount, read.reason) == (Money(500, USD), "returned")
    assert read.call.issues == ()


@pytest.mark.parametrize(
    ("body", "amount_minor"),
    [
        ({"amount": "$5"}, 500),
        ({"amount": "5.00"}, 500),
        ({"amountToCapture": 500}, 500),
        ({"amount": {"value": 5.5}}, 550),
        ({"amount": 500, "currency": "usd"}, 500),
    ],
)
def test_an_amount_to_capture_is_read_in_the_currency_of_the_payment(
    body: object, amount_minor: int
) -> None:
    read = send(command("capture", body))
    assert isinstance(read, CaptureCommand)
    assert read.amount == Money(amount_minor, USD)
    assert read.call.issues


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 500, "currency": "EUR"},
        {"amount": "5 EUR"},
        {"amount": 0},
        {"amount": -5},
        {"amount": ""},
        {"amount": {}},
        {"amount": {"currency": "USD"}},
        {"amount": [5]},
        {"payment_id": PAYMENT_ID[:-1] + "4"},
    ],
)
@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_an_amount_without_meaning_is_never_all_of_it(operation: str, body: object) -> None:
    assert refused(command(operation, body)).issues


def test_a_confirmation_may_bring_the_instrument() -> None:
    body = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
    read = send(command("confirm", body))
    assert isinstance(read, ConfirmCommand)
    assert read.instrument is not None
    assert (read.instrument.method, read.instrument.token) == ("card", "pm_card_visa")
    assert read.return_url == "https://shop.example/"


def test_a_void_takes_the_reason_by_the_name_stripe_has_for_it() -> None:
    read = send(command("void", {"cancellation_reason": "requested_by_customer"}))
    assert shown(read)["reason"] == "requested_by_customer"


def test_a_payment_of_another_form_in_the_path_is_refused() -> None:
    refusal = refused("POST /payments/order-17/refund\n\n{}")
    assert (refusal.reason, refusal.param) == (Reason.ID_MALFORMED, "path")


@pytest.mark.parametrize("name", ["payment_id", "paymentId", "payment", "payment_intent"])
def test_a_refund_finds_its_payment_in_the_body(name: str) -> None:
    incoming = Incoming({name: PAYMENT_ID, "amount": "5 EUR"}, KEYED)
    assert read_refund_target(incoming) == PAYMENT_ID


@pytest.mark.parametrize("body", [{}, {"payment_id": 17}, {"payment_id": "re_1"}])
def test_a_refund_of_no_payment_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        read_refund_target(Incoming(body, KEYED))
    assert caught.value.param == "payment_id"


def ledger(body: object) -> str:
    return f"POST /ledger/transactions\n\n{json.dumps(body)}"


ENTRIES = [{"account": "buyer", "amount": -970}, {"account": "seller", "amount": 970}]
TRANSACTION = {"idempotencyKey": "t-1", "referenceId": "order-17", "entries": ENTRIES}


def test_a_ledger_transaction_in_camel_case_is_canonical() -> None:
    read = send(ledger({**TRANSACTION, "currency": "EUR"}))
    assert isinstance(read, LedgerTransactionRequest)
    assert read.call.issues == ()
    assert (read.call.idempotency_key, read.reference_id) == ("t-1", "order-17")
    assert [entry.amount for entry in read.entries] == [
        Money(-970, Currency("EUR")),
        Money(970, Currency("EUR")),
    ]


def test_a_ledger_transaction_in_snake_case_is_read_with_issues() -> None:
    body = {"idempotency_key": "t-1", "reference_id": 17, "currency": "USD", "entries": ENTRIES}
    read = send(ledger(body))
    assert isinstance(read, LedgerTransactionRequest)
    assert read.reference_id == "17"
    assert [issue.coerced for issue in read.call.issues] == ["idempotencyKey", "referenceId", "17"]


def test_the_currency_of_an_entry_is_its_own_then_the_transactions_then_usd() -> None:
    entries = [{**ENTRIES[0], "currency": "JPY"}, ENTRIES[1]]
    own = send(ledger({**TRANSACTION, "currency": "EUR", "entries": entries}))
    assert isinstance(own, LedgerTransactionRequest)
    assert [entry.amount.currency.code for entry in own.entries] == ["JPY", "EUR"]
    default = send(ledger(TRANSACTION))
    assert isinstance(default, LedgerTransactionRequest)
    assert {entry.amount.currency for entry in default.entries} == {USD}
    assert [issue.rule for issue in default.call.issues] == ["currency.ledger_default"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"referenceId": None}, "referenceId"),
        ({"referenceId": ""}, "referenceId"),
        ({"referenceId": "r" * 256}, "referenceId"),
        ({"entries": None}, "entries"),
        ({"entries": {}}, "entries"),
        ({"entries": [1]}, "entries[0]"),
        ({"entries": [{"account": "a"}]}, "entries[0].amount"),
        ({"entries": [{"amount": 5}]}, "entries[0].account"),
        ({"entries": [{"account": "a", "amount": 2**63}]}, "entries[0].amount"),
        ({"entries": [{"account": "a", "amount": "x"}]}, "entries[0].amount"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
    ],
)
def test_a_ledger_transaction_without_meaning_is_refused(
    change: dict[str, object], param: str
) -> None:
    assert refused(ledger({**TRANSACTION, **change})).param == param
