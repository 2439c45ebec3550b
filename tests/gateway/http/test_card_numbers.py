"""A card number is refused wherever it is sent, and found nowhere afterwards."""

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.gateway.http.declared import DOCUMENT
from tests.gateway.http.stage import Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CARD = "4242424242424242"
_CARDS = [_CARD, "4242 4242 4242 4242", "4242-4242-4242-4242", 4242424242424242]


async def test_a_card_number_is_refused_wherever_it_is_and_found_nowhere(
    stage: Stage, log: io.StringIO
) -> None:
    shop, operator = await stage.merchant(), await stage.operator()
    payment = await shop.pay(1000, capture_method="manual")
    before = await stage.rows()
    refused = 0
    for method, path, body in _requests_with_cards(payment["id"]):
        caller = operator if path.startswith(("/refunds", "/ledger")) else shop
        answer = await caller.send(method, path, body)
        assert answer.status in (400, 404), f"{method} {path} {body}: {answer.text}"
        assert not _holds_card(answer.text), f"{method} {path}"
        refused += 1
    assert refused > 100
    for header in ("Idempotency-Key", "Request-Id"):
        answer = await shop.post("/payments", order(), key="", headers={header: _CARD})
        assert (answer.status, answer.code) == (400, "card_number_present")
    assert await stage.rows() == before
    assert not _holds_card(log.getvalue())
    assert "card_number_present" in log.getvalue()
    assert shop.api_key not in log.getvalue()
    assert await _rows_with_cards(stage) == []


async def test_a_card_number_in_a_body_that_cannot_be_read_is_not_logged(
    stage: Stage, log: io.StringIO
) -> None:
    shop = await stage.merchant()
    for content in (
        f'{{"card": "{_CARD}"'.encode(),
        f"number={_CARD}".encode(),
        f'{{"{_CARD}": {{'.encode(),
        _CARD.encode(),
    ):
        answer = await shop.post("/payments", content=content)
        assert answer.status == 400
        assert not _holds_card(answer.text)
    webhook = await stage.http.post("/api/v1/webhooks/stripe", content=_CARD.encode())
    assert webhook.status_code == 401
    assert not _holds_card(log.getvalue())
    assert await _rows_with_cards(stage) == []


def _requests_with_cards(payment_id: str) -> Iterator[tuple[str, str, Any]]:
    """Each operation of the document with a card in each of its fields, its path, its query."""
    for template, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if not operation["security"]:
                continue
            path = template.removeprefix("/api/v1")
            filled = path.format(
                payment_id=payment_id, refund_id="re_x", transaction_id="ltx_x", key="x"
            )
            if method == "get":
                yield from _paths_with_cards(path, filled)
                continue
            for body in _bodies_with_cards(operation):
                if template == "/api/v1/refunds":
                    body.setdefault("payment_id", payment_id)
                yield method.upper(), filled, body
            yield method.upper(), f"{filled}?note={_CARD}", _example(operation)


def _paths_with_cards(path: str, filled: str) -> Iterator[tuple[str, str, Any]]:
    if "{" in path:
        card = quote("4242 4242 4242 4242")
        named = path.format(payment_id=card, refund_id=card, transaction_id=card, key=card)
        yield "GET", named, None
    else:
        yield "GET", f"{filled}?user_id={_CARD}", None
        yield "GET", f"{filled}?{_CARD}=1", None


def _bodies_with_cards(operation: Any) -> Iterator[dict[str, Any]]:
    example = _example(operation)
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    for card in _CARDS:
        for name in (*schema["properties"], "note", "idempotency_key"):
            yield {**example, name: card}
        yield {**example, "metadata": {"note": f"pay with {card} please"}}
        yield {**example, "deep": [{"er": [card]}]}
        yield {**example, str(card): "key"}
    yield {**example, "cvc": "123"}


def _example(operation: Any) -> dict[str, Any]:
    example: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"][
        "example"
    ]
    return dict(example)


def _holds_card(text: str) -> bool:
    return _CARD in "".join(character for character in text if character not in " -")


async def _rows_with_cards(stage: Stage) -> list[str]:
    found = []
    async with stage.system.database.connection() as connection:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        for table in tables:
            rows = await connection.fetch(f"select t::text as row from {table['name']} t")
            found += [table["name"] for row in rows if _holds_card(row["row"])]
    return found


async def test_the_search_for_cards_finds_them() -> None:
    assert _holds_card("note: 4242-4242 42424242.")
