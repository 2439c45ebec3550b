"""The body as a whole, and the keys that go with it."""

import json
import time

import pytest

from gateway.reading import LEDGER_LIMITS, Incoming, Refusal, decode_json, read_payment
from gateway.reading.decoding import MAX_DEPTH
from gateway.reading.notes import MAX_ISSUES
from services.kernel.errors import InvalidArgument, Reason
from services.kernel.ids import RequestId
from tests.gateway.reading.requests import CALLER, KEYED, NOW, issues_of, send_payment

BODY = b'{"amount": 1250, "currency": "USD", "method": "card"}'


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"amount": 1250,}',
        b"\xff\xfe{}",
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "tab\there"}',
        b"{'a': 1}",
        b'{"a": 0x10}',
        b'{"a": 01}',
        b'{"a": -Infinity}',
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1e99999999999999999999}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"null",
        b'"text"',
        b"1",
        b"{} {}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        decode_json(raw)
    assert refused.value.reason is Reason.BODY_MALFORMED
    assert len(refused.value.issues) == 1


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udfff", "\\udc00\\ud800", "a\\u0000b"])
@pytest.mark.parametrize(
    "form", ['{{"metadata": {{"a": "{}"}}}}', '{{"{}": 1}}', '{{"a": ["{}"]}}']
)
def test_text_that_cannot_be_stored_is_refused_wherever_it_is(form: str, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        send_payment(form.format(text).encode())
    assert [issue.rule for issue in refused.value.issues] == ["body.text_unusable"]


@pytest.mark.parametrize("raw", [b"", b"  \n", b"\xef\xbb\xbf"])
def test_an_absent_body_is_an_empty_one(raw: bytes) -> None:
    assert decode_json(raw).values == {}


def test_numbers_are_never_floats() -> None:
    values = decode_json(b'{"a": 0.1, "b": 1e2, "c": [1, 2.0], "d": 123456789012345678901}').values
    assert repr(values) == (
        "{'a': Decimal('0.1'), 'b': Decimal('1E+2'), 'c': [1, Decimal('2.0')],"
        " 'd': 123456789012345678901}"
    )


def test_as_deep_as_is_allowed_is_read_and_one_deeper_is_refused() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"1" + b"}" * depth

    assert decode_json(nested(MAX_DEPTH)).values
    with pytest.raises(Refusal) as refused:
        decode_json(nested(MAX_DEPTH + 1))
    assert refused.value.issues[0].rule == "body.too_deep"


def test_brackets_in_a_text_are_no_depth() -> None:
    assert send_payment(BODY[:-1] + b', "description": "' + b"[{" * 100 + b'"}')


def test_a_body_of_ten_megabytes_is_refused_unread() -> None:
    started = time.perf_counter()
    with pytest.raises(Refusal) as refused:
        decode_json(b"[" * 10_000_000)
    assert refused.value.reason is Reason.MESSAGE_TOO_LARGE
    assert time.perf_counter() - started < 1


def test_a_ledger_transaction_may_have_ten_thousand_entries() -> None:
    entries = [{"account": f"merchant:{n}:payable", "amount": n + 1} for n in range(10_000)]
    raw = json.dumps({"entries": entries}).encode()
    assert len(decode_json(raw, LEDGER_LIMITS).values) == 1
    with pytest.raises(Refusal):
        decode_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"amount": 1, "amount": true}',
        b'{"amount": 1, "amount": 1.0}',
        b'{"metadata": {"a": "1", "a": "2"}, "amount": 1}',
        b'{"amount": 1, "amount": 1, "amount": 2}',
    ],
)
def test_one_key_with_two_values_is_refused_at_any_depth(raw: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        decode_json(raw)
    assert refused.value.issues[-1].rule == "body.key_conflict"


def test_hostile_text_is_read_in_little_time() -> None:
    digits = "4 " * 15_000
    body = json.dumps({"amount": 1, "note": digits, "k" * 20_000: "1" * 10_000}).encode()
    started = time.perf_counter()
    send_payment(body)
    assert time.perf_counter() - started < 5


def test_issues_are_bounded_and_what_refuses_is_told_first() -> None:
    body = {**{f"field_{n}": n for n in range(500)}, "amount": 0}
    with pytest.raises(Refusal) as refused:
        send_payment(json.dumps(body).encode())
    issues = refused.value.issues
    assert len(issues) == MAX_ISSUES
    assert issues[0].rule == "amount.not_positive"
    assert issues[-1].rule == "issues.more"


def test_a_long_field_name_is_cut_in_its_issue() -> None:
    read = send_payment(BODY[:-1] + b', "' + b"x" * 50_000 + b'": "' + b"y" * 10_000 + b'"}')
    (issue,) = read.context.issues
    assert len(issue.field) <= 120
    assert len(issue.raw) <= 200


def test_a_key_of_the_header_is_taken() -> None:
    context = send_payment(BODY).context
    assert (context.idempotency_key, context.idempotency_key_generated) == ("order-17", False)
    assert context.issues == ()


@pytest.mark.parametrize("name", ["Idempotency-Key", "IDEMPOTENCY-KEY", "idempotency-key"])
def test_headers_are_found_in_any_case(name: str) -> None:
    assert send_payment(BODY, headers={name: "k"}).context.idempotency_key == "k"


def test_the_same_key_in_header_and_body_is_one_key() -> None:
    context = send_payment(BODY[:-1] + b', "idempotency_key": "order-17"}').context
    assert context.idempotency_key == "order-17"
    assert context.issues == ()


def test_a_key_in_the_body_alone_is_taken() -> None:
    context = send_payment(BODY[:-1] + b', "idempotencyKey": 42}', headers={}).context
    assert context.idempotency_key == "42"
    assert {issue.rule for issue in context.issues} == {"field.spelling", "text.from_number"}


def test_two_requests_without_a_key_get_two_keys() -> None:
    first, second = (send_payment(BODY, headers={}).context for _ in range(2))
    assert first.idempotency_key != second.idempotency_key
    assert first.idempotency_key_generated
    assert [issue.rule for issue in first.issues] == ["idempotency_key.generated"]
    assert first.issues[0].coerced == first.idempotency_key


def test_keys_that_differ_are_refused_and_both_are_named() -> None:
    with pytest.raises(Refusal) as refused:
        send_payment(BODY[:-1] + b', "idempotency_key": "order-18"}')
    assert refused.value.reason is Reason.IDEMPOTENCY_KEY_MISMATCH
    assert "Idempotency-Key and idempotency_key differ" in refused.value.issues[0].message


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("", "idempotency_key.empty"),
        ("  ", "idempotency_key.empty"),
        ("x" * 256, "text.too_long"),
        ("a\x07b", "text.control"),
    ],
)
def test_a_key_that_is_no_key_is_refused(header: str, rule: str) -> None:
    with pytest.raises(Refusal) as refused:
        send_payment(BODY, headers={"idempotency-key": header})
    assert [issue.rule for issue in refused.value.issues] == [rule]
    assert refused.value.param == "Idempotency-Key"


@pytest.mark.parametrize("value", ['""', '" "', "[]", "true", "{}", '"' + "x" * 256 + '"'])
def test_a_key_in_the_body_that_is_no_key_is_refused(value: str) -> None:
    raw = BODY[:-1] + f', "idempotency_key": {value}}}'.encode()
    with pytest.raises(Refusal) as refused:
        send_payment(raw, headers={})
    assert refused.value.param == "idempotency_key"


def test_a_request_id_of_ours_is_kept() -> None:
    request_id = RequestId.new()
    context = send_payment(BODY, headers={**KEYED, "request-id": request_id}).context
    assert context.request_id == request_id
    assert context.issues == ()


def test_a_refusal_is_an_invalid_argument_with_a_violation_for_each_fault() -> None:
    with pytest.raises(Refusal) as refused:
        send_payment(b'{"amount": 0, "method": "barter", "colour": "red"}')
    error = refused.value.as_error()
    assert isinstance(error, InvalidArgument)
    assert error.reason is Reason.METHOD_UNKNOWN or error.reason is Reason.AMOUNT_INVALID
    assert {violation.field for violation in error.violations} == {"amount", "method"}
    assert {"field.unknown", "currency.default"} < {issue.rule for issue in refused.value.issues}


def test_a_field_in_the_query_is_read_as_text() -> None:
    incoming = Incoming({"method": "card"}, KEYED, {"amount": "1250", "currency": "EUR"})
    context = read_payment(incoming, CALLER, received_at=NOW).context
    assert str(context.amount) == "12.50 EUR"
    assert {issue.rule for issue in context.issues} == {"field.in_query", "amount.digits"}


@pytest.mark.parametrize(
    ("content_type", "is_remarked"),
    [
        ("application/json", False),
        ("Application/JSON; charset=UTF-8", False),
        ("application/vnd.shop+json", False),
        # What curl -d and the like put there unasked.
        ("application/x-www-form-urlencoded", False),
        ("application/json; charset=utf-16", True),
        ("text/plain", True),
        ("", True),
    ],
)
def test_a_body_that_is_called_something_else_is_read_and_remarked(
    content_type: str, *, is_remarked: bool
) -> None:
    read = send_payment(BODY, headers={**KEYED, "content-type": content_type})
    rules = [issue.rule for issue in issues_of(read)]
    assert rules == (["body.content_type"] if is_remarked else [])
