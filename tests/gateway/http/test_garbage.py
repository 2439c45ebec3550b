"""Whatever is sent: a problem that says what is wrong, and nothing written."""

import asyncio
import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.http.stage import Shop, Stage, order, told

pytestmark = pytest.mark.asyncio(loop_scope="module")


_HUGE = json.dumps(order(metadata={"note": "x" * 10_000_000})).encode()


_UNREADABLE = {
    "cut short": b'{"amount": 1250, "currency": "US',
    "not JSON": b"amount=1250&currency=USD",
    "not UTF-8": b'{"amount": 1250, "note": "\xff\xfe"}',
    "a list": b"[1250]",
    "a text": b'"1250"',
    "null": b"null",
    "NUL": b'{"amount": 1250, "metadata": {"note": "a\\u0000b"}}',
    "NUL byte": b'{"amount": 1250, "metadata": {"note": "a\x00b"}}',
    "half a surrogate": b'{"amount": 1250, "metadata": {"note": "\\ud800"}}',
    "half a surrogate in a key": b'{"amount": 1250, "metadata": {"\\udfff": "x"}}',
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": Infinity}',
    "nested": b'{"amount": 1, "metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested a little": b'{"amount": 1, "metadata": ' + b'{"a":' * 30 + b"1" + b"}" * 31,
    "a long number": b'{"amount": ' + b"9" * 5000 + b"}",
    "many values": json.dumps({"amount": 1, "metadata": list(range(5000))}).encode(),
    "two amounts": b'{"amount": 1, "amount": 2}',
}


_MEANINGLESS: dict[str, Any] = {
    "nothing": {},
    "zero": order(0),
    "below zero": order(-5),
    "2^63": order(2**63),
    "a tiny number": order(1e-300),
    "a text": order("about ten"),
    "a list": order([1250]),
    "true": order(True),
    "too fine": order("10.005 USD"),
    "no currency": order(currency="XYZ"),
    "no method": order(method="barter"),
    "a long user": order(user_id="x" * 256),
    "metadata without end": order(metadata={f"k{number}": "" for number in range(51)}),
    "a plan that there is none of": order(plan_id="gold"),
    "too many steps": order(steps=["card"] * 17),
}


async def test_a_body_that_cannot_be_read_is_a_problem_and_writes_nothing(stage: Stage) -> None:
    shop = await stage.merchant()
    before = await stage.rows()
    for name, content in _UNREADABLE.items():
        for path in ("/payments", "/payment_intents"):
            answer = await shop.post(path, content=content)
            assert answer.status in (400, 413), f"{name}: {answer.text}"
            assert answer.body["validation_issues"], name
    assert await stage.rows() == before


async def test_a_request_without_a_meaning_is_a_problem_and_writes_nothing(stage: Stage) -> None:
    shop = await stage.merchant()
    before = await stage.rows()
    for name, body in _MEANINGLESS.items():
        answer = await shop.post("/payments", body)
        assert answer.status == 400, f"{name}: {answer.text}"
        assert answer.body["param"], name
        assert answer.body["errors"], name
    assert await stage.rows() == before


async def test_every_issue_of_a_refused_request_is_told(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", {"Amount": 0, "currency": "XYZ", "colour": "red"})
    rules = {issue["rule"] for issue in answer.body["validation_issues"]}
    assert {"amount.not_positive", "currency.unknown", "field.unknown", "field.spelling"} <= rules
    assert {error["rule"] for error in answer.body["errors"]} <= rules


async def test_ten_megabytes_are_refused_and_the_connection_lives(stage: Stage) -> None:
    shop = await stage.merchant()
    before = await stage.rows()
    answer = await shop.post("/payments", content=_HUGE)
    assert (answer.status, answer.code) == (413, "message_too_large")
    webhook = told(await stage.http.post("/api/v1/webhooks/stripe", content=_HUGE))
    assert webhook.status == 413
    assert await stage.rows() == before


async def test_orders_about_a_payment_refuse_what_means_nothing(stage: Stage) -> None:
    shop = await stage.merchant()
    held = await shop.pay(1000, capture_method="manual")
    for action in ("capture", "void", "refund"):
        for content in (b"{", b"[]", b'{"amount": NaN}', b'{"idempotency_key": 1.5}'):
            answer = await shop.post(f"/payments/{held['id']}/{action}", content=content)
            assert answer.status == 400, f"{action} {content!r}: {answer.text}"
    shown = (await shop.get(f"/payments/{held['id']}")).body
    assert shown["status"] == "authorized"


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/payments?limit=0", "limit"),
        ("/payments?limit=101", "limit"),
        ("/payments?limit=ten", "limit"),
        ("/payments?limit=%D9%A1", "limit"),
        ("/payments?cursor=nonsense", "cursor"),
        ("/payments?status=gone", "status"),
        ("/payments?user_id=%07", "user_id"),
        (f"/payments?user_id={'x' * 256}", "user_id"),
        ("/payments?in_doubt=perhaps", "in_doubt"),
        ("/payments?created_from=yesterday", "created_from"),
        ("/payments?created_before=0000-00-00", "created_before"),
        ("/payments?colour=red", "colour"),
        ("/payments?limit=1&limit=2", "query.limit"),
    ],
)
async def test_a_list_names_the_parameter_that_means_nothing(
    stage: Stage, path: str, param: str
) -> None:
    shop = await stage.merchant()
    answer = await shop.get(path)
    assert (answer.status, answer.body["param"]) == (400, param)


@pytest.mark.parametrize(
    "query", ["%ff=1", "user_id=%ff", "user_id=%00", "cursor=%00", "a=1&" * 200, "%ED%A0%80=1"]
)
async def test_a_query_that_cannot_be_read_is_refused(stage: Stage, query: str) -> None:
    shop = await stage.merchant()
    assert (await shop.get(f"/payments?{query}")).status == 400


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/payments/", "/payments/%00", "/payments/%ff", "/payments/..%2f..", "/%2e%2e/"],
)
async def test_an_address_that_there_is_none_of_is_a_404_problem(stage: Stage, path: str) -> None:
    shop = await stage.merchant()
    answer = await shop.get(path)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "BREW"])
async def test_a_method_that_an_address_does_not_take_is_a_405_problem(
    stage: Stage, method: str
) -> None:
    shop = await stage.merchant()
    response = await stage.http.request(
        method, "/api/v1/payments", headers={"Authorization": f"Bearer {shop.api_key}"}
    )
    answer = told(response)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /api/v1/payments HTTP/1.1\r\nHost: x\r\nA\x00b: c\r\n\r\n",
        b"GET /api/v1/payments HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"GET /api/v1/payments HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_4xx_or_not_at_all(stage: Stage, raw: bytes) -> None:
    address = urlsplit(stage.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    first_line = b""
    # Who has heard enough may hang up before the rest is sent.
    with suppress(OSError):
        writer.write(raw)
        writer.write_eof()
    with suppress(ConnectionError):
        first_line = await asyncio.wait_for(reader.readline(), timeout=30)
    writer.close()
    assert first_line == b"" or first_line.split()[1].startswith(b"4"), first_line
    assert (await stage.http.get("/healthz")).status_code == 200


async def test_a_body_that_never_ends_does_not_hold_up_others(stage: Stage) -> None:
    shop = await stage.merchant()
    address = urlsplit(stage.server.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shop.api_key}\r\n"
    writer.write(head.encode() + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    assert (await shop.post("/payments", order())).status == 201
    writer.close()


async def test_a_shop_that_was_fuzzed_still_pays(stage: Stage) -> None:
    shop: Shop = await stage.merchant()
    assert (await shop.post("/payments", order())).status == 201
