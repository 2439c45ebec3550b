"""What the log of a payment's whole life says, and what it never does."""

import json
import logging
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.gateway.http.stage import order
from tests.observability.conftest import API_KEY, GRPC_TOKEN, WEBHOOK_SECRET, Observed
from tests.webhooks.letters import letter

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CARD: Final = "4242424242424242"
_CODE: Final = "987"
_WRITTEN: Final = (_CARD, "4242 4242 4242 4242", "4242-4242-4242-4242", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢")
_FIELDS: Final = (
    "merchant_id", "amount", "currency", "method", "payment_method", "user_id", "email",
    "capture_method", "metadata", "steps", "split_policy", "return_url", "card_number", "number",
    "cvc", "anything", "idempotency_key",
)  # fmt: skip


@pytest.fixture(autouse=True)
def only_the_platform() -> Iterator[None]:
    """The client of these tests logs whole addresses, and is no part of what is tried."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    yield
    logging.getLogger("httpx").setLevel(logging.NOTSET)


def about(told: list[dict[str, Any]], payment_id: str) -> list[dict[str, Any]]:
    return [line for line in told if line.get("payment_id") == payment_id]


async def test_attempts_and_refunds_are_told_with_the_trace_and_the_ids_of_their_payment(
    observed: Observed,
) -> None:
    shop = await observed.stage.merchant("stripe")
    trace_id = "1af7651916cd43dd8448eb211c80319d"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    payment = (await shop.post("/payments", order(), headers=headers)).body
    await shop.post(f"/payments/{payment['id']}/refund", {})
    lines = about(observed.told(), payment["id"])
    attempts = [line for line in lines if line["event"] == "attempt executed"]
    assert [line["operation"] for line in attempts] == ["authorize", "refund"]
    (refund,) = (line for line in lines if line["event"] == "refund paid")
    assert attempts[0]["request_id"]
    for line in (*attempts, refund):
        assert line["level"] == "info"
        assert line["merchant_id"] == shop.merchant_id
        assert line["trace_id"]
    # The refund may be carried out by whoever a webhook has sent to the payment just then.
    assert attempts[0]["trace_id"] == trace_id


async def test_a_failure_is_an_error(observed: Observed) -> None:
    shop = await observed.stage.merchant("stripe")
    answer = await shop.post("/payments", order(payment_method="pm_card_chargeDeclined"))
    lines = about(observed.told(), answer.body["payment"]["id"])
    (failed,) = (line for line in lines if line["event"] == "payment failed")
    assert (failed["level"], failed["error_code"]) == ("error", "declined")
    assert failed["trace_id"]
    assert failed["merchant_id"] == shop.merchant_id


async def test_no_line_holds_a_card_number_a_code_a_key_or_a_secret_of_a_payment_s_whole_life(
    observed: Observed,
) -> None:
    shop = await observed.stage.merchant("stripe")
    payment = await shop.pay(1250)
    await observed.webhooks_of(payment["id"], {"payment_intent.succeeded"})
    await shop.post(f"/payments/{payment['id']}/refund", {})
    waiting = await shop.pay(
        payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/back"
    )
    assert waiting["next_action"]
    await shop.get(f"/payments/{waiting['id']}/explain")
    _assert_clean(observed, shop.api_key)


async def test_no_line_holds_a_card_number_wherever_a_request_held_one(observed: Observed) -> None:
    shop, http = await observed.stage.merchant("stripe"), observed.stage.http
    before = len(observed.told())
    for card in _WRITTEN:
        for field in _FIELDS:
            for value in (card, {"number": card, "cvc": _CODE}, [card], {card: card}):
                await shop.send("POST", "/payments", order(**{field: value}))
        await shop.send("POST", "/payments", order(**{card: "x"}))
        quoted = json.dumps(card)
        for body in (
            f'{{"card": {quoted}, "cvc": "{_CODE}"',
            f"{quoted}{quoted}",
            f"card={card}&cvc={_CODE}",
            f'{{"a": {_CARD}}}',
            '{"a":' * 200 + quoted,
        ):
            await shop.send("POST", "/payments", content=body.encode())
            await http.post("/api/v1/webhooks/stripe", content=body.encode())
    for name in ("Idempotency-Key", "Request-Id", "Authorization", "traceparent", "Prefer"):
        shown = {"Authorization": f"Bearer {shop.api_key}", name: _CARD}
        await http.post("/api/v1/payments", content=json.dumps(order()), headers=shown)
    for path in (f"/payments/{_CARD}", f"/payments?user_id={_CARD}", f"/{_CARD}?cvc={_CODE}"):
        await http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {shop.api_key}"})
    assert len(observed.told()) - before > len(_WRITTEN) * len(_FIELDS)
    _assert_clean(observed, shop.api_key)


async def test_no_line_holds_a_card_number_that_a_processor_s_event_held(
    observed: Observed,
) -> None:
    event = {
        "id": "evt_observed_card",
        "object": "event",
        "type": f"payment_intent.{_CARD}",
        "created": 1_700_000_000,
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "description": _CARD}},
    }
    sent = letter(event, secret=WEBHOOK_SECRET)
    answer = await observed.stage.http.post(
        "/api/v1/webhooks/stripe", content=sent.body, headers={"Stripe-Signature": sent.header}
    )
    assert answer.status_code == 200
    _assert_clean(observed, API_KEY)


def _assert_clean(observed: Observed, api_key: str) -> None:
    written = observed.lines.getvalue()
    for secret in (*_WRITTEN, API_KEY, WEBHOOK_SECRET, GRPC_TOKEN, api_key):
        assert secret not in written
        assert json.dumps(secret)[1:-1] not in written
    for line in observed.told():
        assert _CODE not in (str(line.get("cvc")), str(line.get("body"))), line
    assert f'"{_CODE}"' not in written
    assert f"cvc={_CODE}" not in written
