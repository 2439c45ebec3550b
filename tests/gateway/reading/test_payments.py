"""The other fields of a payment: methods, names, metadata, texts."""

import json

import pytest

from gateway.reading import Refusal
from services.kernel.errors import Reason
from tests.gateway.reading.requests import send, send_payment, shown

BASE = {"amount": 1250, "currency": "USD"}


def read(**fields: object) -> dict[str, object]:
    return shown(send_payment(json.dumps({**BASE, **fields}).encode()))


def rules(**fields: object) -> list[str]:
    context = send_payment(json.dumps({**BASE, **fields}).encode()).context
    return [issue.rule for issue in context.issues]


def refusal(**fields: object) -> Refusal:
    with pytest.raises(Refusal) as refused:
        send_payment(json.dumps({**BASE, **fields}).encode())
    return refused.value


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("Card", {"method": "card"}),
        ("CREDIT_CARD", {"method": "card"}),
        ("debit card", {"method": "card"}),
        ("visa", {"method": "card", "network": "visa"}),
        ("Master Card", {"method": "card", "network": "mastercard"}),
        ("amex", {"method": "card", "network": "american_express"}),
        ("Diners-Club", {"method": "card", "network": "diners_club"}),
        ("Apple Pay", {"method": "apple_pay"}),
        ("applePay", {"method": "apple_pay"}),
        ("APPLE-PAY", {"method": "apple_pay"}),
        ("google pay", {"method": "card"}),
        ("gpay", {"method": "card"}),
        (["apple_pay"], {"method": "apple_pay"}),
        (["card", "apple_pay"], {"method": "card"}),
        ("pm_card_visa", {"method": "card", "payment_method": "pm_card_visa"}),
        ({"type": "apple_pay"}, {"method": "apple_pay"}),
    ],
)
def test_a_method_is_read_from_what_people_call_it(
    method: object, expected: dict[str, object]
) -> None:
    values = read(method=method)
    assert {name: values[name] for name in expected} == expected
    assert rules(method=method)


@pytest.mark.parametrize(
    "method", ["paypal", "sepa_debit", "barter", "", [], {}, 7, True, ["paypal", "card"]]
)
def test_a_method_that_is_not_known_is_refused(method: object) -> None:
    if method == {}:
        assert rules(method=method) == ["method.nested", "method.default"]
        return
    assert refusal(method=method).reason is Reason.METHOD_UNKNOWN


@pytest.mark.parametrize(
    ("sent", "method", "token"),
    [
        ("pm_card_visa", "card", "pm_card_visa"),
        ("tok_applePay_visa", "apple_pay", "tok_applePay_visa"),
        ({"type": "card", "id": "pm_1"}, "card", "pm_1"),
        ({"type": "card", "card": {"token": "tok_visa", "brand": "Visa"}}, "card", "tok_visa"),
        ({"apple_pay": {"token": "tok_1"}}, "apple_pay", "tok_1"),
        ("0f8b41aa-token", "card", "0f8b41aa-token"),
    ],
)
def test_a_token_is_found_wherever_it_is(sent: object, method: str, token: str) -> None:
    values = read(payment_method=sent)
    assert (values["method"], values["payment_method"]) == (method, token)


@pytest.mark.parametrize("sent", ["paypal", "bank_transfer", "pm_!", 17, ["pm_1"]])
def test_what_is_neither_token_nor_method_is_refused(sent: object) -> None:
    assert refusal(payment_method=sent).param == "payment_method"


def test_a_method_and_its_token_leave_no_issue() -> None:
    assert rules(method="card", payment_method="pm_card_visa") == []


def test_a_method_that_contradicts_the_payment_method_is_refused_with_both_named() -> None:
    refused = refusal(method="apple_pay", payment_method={"type": "card", "id": "pm_1"})
    assert refused.issues[-1].rule == "field.conflict"
    assert "method and payment_method differ" in refused.message or any(
        "method and payment_method differ" in issue.message for issue in refused.issues
    )


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"user_id": "a", "userId": "a"}, "field.repeated"),
        ({"currency": "USD", "Currency": "usd"}, "field.repeated"),
        ({"total": "$12.50"}, "field.repeated"),
        ({"capture_method": "manual", "capture": False}, "field.repeated"),
    ],
)
def test_two_spellings_that_agree_leave_an_issue(fields: dict[str, object], rule: str) -> None:
    assert rule in rules(**fields)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"user_id": "a", "userId": "b"}, ("user_id", "userId")),
        ({"Currency": "EUR"}, ("currency", "Currency")),
        ({"total": "$12.51"}, ("amount", "total")),
        ({"payment": {"amount": 5}}, ("amount", "payment.amount")),
        ({"capture_method": "manual", "capture": True}, ("capture_method", "capture")),
    ],
)
def test_two_spellings_that_differ_are_refused_with_both_named(
    fields: dict[str, object], names: tuple[str, str]
) -> None:
    (issue,) = [issue for issue in refusal(**fields).issues if issue.rule == "field.conflict"]
    assert f"{names[0]} and {names[1]} differ" in issue.message
    assert issue.field == names[1]


def test_a_request_for_stripe_is_understood() -> None:
    text = """POST /payment_intents
Idempotency-Key: order-17

{"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": true,
 "payment_method_types": ["card"], "capture_method": "automatic_async", "customer": "cus_1",
 "receipt_email": "ann@example.com", "metadata": {"order": "17"}, "description": "Two books",
 "statement_descriptor": "BOOKS", "return_url": "https://shop.example/thanks"}"""
    assert shown(send(text)) == {
        "idempotency_key": "order-17",
        "amount": 2000,
        "currency": "USD",
        "method": "card",
        "payment_method": "pm_card_visa",
        "capture_method": "automatic",
        "user_id": "cus_1",
        "email": "ann@example.com",
        "confirm": True,
        "metadata": {"order": "17", "description": "Two books", "statement_descriptor": "BOOKS"},
        "return_url": "https://shop.example/thanks",
    }


def test_objects_within_objects_are_read_as_if_they_were_flat() -> None:
    body = {
        "data": {"payment": {"total": {"value": "12,50", "currency": "eur"}}},
        "method": "visa",
        "customer": {"id": 17, "email": "ann@example.com", "address": {"country": "at"}},
    }
    values = shown(send_payment(json.dumps(body).encode()))
    assert (values["amount"], values["currency"], values["network"]) == (1250, "EUR", "visa")
    assert (values["user_id"], values["email"], values["country"]) == (
        "17",
        "ann@example.com",
        "AT",
    )


def test_metadata_becomes_flat_text() -> None:
    metadata = read(metadata={"n": 1, "yes": True, "none": None, "a": {"b": {"c": "x"}}, "e": {}})
    assert metadata["metadata"] == {"n": "1", "yes": "true", "a.b.c": "x", "e": "{}"}


def test_numbers_in_metadata_keep_every_digit() -> None:
    raw = b'{"amount": 1, "metadata": {"a": 2.50, "b": [0.10, {"c": 9007199254740993.5}]}}'
    metadata = send_payment(raw).context.metadata
    assert metadata == {"a": "2.50", "b": '[0.10,{"c":9007199254740993.5}]'}


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({"a" * 41: "x"}, "metadata.key"),
        ({"a" * 20: {"b" * 20: "x"}}, "metadata.key"),
        ({"": "x"}, "metadata.key"),
        ({"a": "x" * 501}, "metadata.value"),
        ({"a": list(range(300))}, "metadata.value"),
        ({f"k{n}": "x" for n in range(51)}, "metadata.count"),
        ({"a.b": "1", "a": {"b": "2"}}, "field.conflict"),
    ],
)
def test_metadata_beyond_its_limits_is_refused(metadata: object, rule: str) -> None:
    assert rule in [issue.rule for issue in refusal(metadata=metadata).issues]


def test_metadata_at_its_limits_is_kept() -> None:
    metadata = {f"{n:02}".ljust(40, "k"): "v" * 500 for n in range(50)}
    assert read(metadata=metadata)["metadata"] == metadata


def test_an_own_description_in_the_metadata_is_not_overwritten() -> None:
    values = read(metadata={"description": "mine"}, description="another")
    assert values["metadata"] == {"description": "mine"}


def test_a_user_id_of_255_characters_is_kept_and_one_longer_is_refused() -> None:
    assert read(user_id="u" * 255)["user_id"] == "u" * 255
    refused = refusal(user_id="u" * 256)
    assert (refused.param, refused.reason) == ("user_id", Reason.INVALID_ARGUMENT)


@pytest.mark.parametrize("email", ["ann", "ann@", "a b@example.com", "a@b@c.d", 17, "x" * 300])
def test_an_email_that_cannot_be_used_does_not_stop_a_payment(email: object) -> None:
    assert "email" not in read(method="card", email=email)
    assert rules(method="card", email=email) == ["email.unusable"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//shop.example", "shop", "http://", 5])
def test_a_return_url_that_is_no_web_address_is_left_out(url: object) -> None:
    assert "return_url" not in read(method="card", return_url=url)
    assert rules(method="card", return_url=url) == ["return_url.unusable"]


def test_another_merchants_id_is_refused_and_ones_own_is_not() -> None:
    own = "mer_019aa5a0000070008000000000000001"
    assert rules(method="card", merchant_id=own) == []
    assert refusal(method="card", merchant_id=own[:-1] + "2").param == "merchant_id"


def test_null_counts_as_not_sent() -> None:
    assert rules(method="card", user_id=None, steps=None, colour=None) == []


@pytest.mark.parametrize("steps", ["card", 3, [3], [["card"]], [{"method": "barter"}]])
def test_steps_that_mean_nothing_are_refused(steps: object) -> None:
    assert refusal(method="card", steps=steps).param.startswith("steps")
