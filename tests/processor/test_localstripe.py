"""A second opinion: the Stripe adapter against localstripe, which others wrote, as far as it goes.

It ignores idempotency keys, lists no events, and speaks a smaller dialect than the version of the
API that the adapter is written for. An interpreter stands between: it renames one parameter, leaves
out another, and says two amounts that localstripe leaves to be seen from its charge.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest

from sandbox.wire import Answer, HttpServer, Request
from tests.processor.conftest import behind_door, opened
from tests.processor.house import House, error_code, outcome
from tests.processor.processes import answering, free_port, running

KEY = "sk_test_second_opinion"


class Interpreter:
    """Passes requests on in localstripe's dialect, and its answers back in today's."""

    def __init__(self, url: str) -> None:
        self.client = httpx.AsyncClient(
            base_url=url, timeout=30, headers={"authorization": f"Bearer {KEY}"}
        )

    async def __call__(self, request: Request) -> Answer:
        form = [
            (name.replace("allowed_payment_method_types", "payment_method_types"), value)
            for name, value in parse_qsl(request.body.decode())
            if name != "return_url"
        ]
        url = f"{request.path}?{request.query}" if request.query else request.path
        answer = await self.client.request(
            request.method,
            url,
            content=urlencode(form),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        content = json.dumps(_said_in_full(answer.json())).encode()
        return Answer(answer.status_code, content, {"Content-Type": "application/json"})


def _said_in_full(body: dict[str, Any]) -> dict[str, Any]:
    charge = body.get("latest_charge")
    if body.get("object") != "payment_intent" or not isinstance(charge, dict):
        return body
    left = charge["amount"] - charge["amount_refunded"]
    name = "amount_received" if charge["captured"] else "amount_capturable"
    return body | {name: left}


@pytest.fixture
async def localstripe() -> AsyncIterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "localstripe", "--from-scratch", "--port", str(port)]
    async with running(command):
        await answering(port)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def interpreter(localstripe: str) -> AsyncIterator[Interpreter]:
    found = Interpreter(localstripe)
    yield found
    await found.client.aclose()


@pytest.fixture
async def house(interpreter: Interpreter) -> AsyncIterator[House]:
    server = await HttpServer.listen(interpreter, "127.0.0.1", 0)
    async with behind_door([opened("stripe", f"http://127.0.0.1:{server.port}", KEY)]) as stub:
        yield House(stub, "stripe")
    await server.close()


async def test_a_payment_is_held_captured_and_refunded(house: House) -> None:
    reference = await house.hold(1250)
    capture = house.attempt("capture", 1250, hold=reference)
    captured = await house.send(capture)
    assert outcome(captured) == outcome(await house.lookup(capture)) == "SUCCEEDED"
    assert captured.amount_processed.amount_minor == 1250
    refund = house.attempt("refund", 500, hold=reference)
    assert outcome(await house.lookup(refund)) == "UNKNOWN"
    refunded = await house.send(refund)
    assert refunded.amount_processed.amount_minor == 500
    found = await house.lookup(refund)
    assert (outcome(found), found.processor_reference) == (
        "SUCCEEDED",
        refunded.processor_reference,
    )


async def test_a_part_is_captured(house: House) -> None:
    capture = house.attempt("capture", 800, hold=await house.hold(1250))
    result = await house.send(capture)
    assert (outcome(result), result.amount_processed.amount_minor) == ("SUCCEEDED", 800)


async def test_a_hold_is_released_once_and_then_not_captured(house: House) -> None:
    reference = await house.hold()
    void = house.attempt("void", hold=reference)
    assert outcome(await house.send(void)) == outcome(await house.lookup(void)) == "SUCCEEDED"


async def test_more_than_is_held_is_not_captured(house: House) -> None:
    result = await house.send(house.attempt("capture", 1251, hold=await house.hold(1250)))
    assert (outcome(result), result.retryable) == ("FAILED", False)


async def test_a_decline_is_a_decline(house: House) -> None:
    result = await house.send(house.attempt("authorize", card="pm_card_chargeCustomerFail"))
    assert (outcome(result), error_code(result)) == ("FAILED", "DECLINED")


async def test_a_token_of_nobodys_is_an_invalid_card(house: House) -> None:
    result = await house.send(house.attempt("authorize", card="pm_nobody"))
    assert (outcome(result), result.retryable) == ("FAILED", False)


async def test_an_action_without_a_page_is_in_doubt_until_the_customer_has_acted(
    house: House, interpreter: Interpreter
) -> None:
    card = {"number": "4000002500003155", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    form = {"type": "card"} | {f"card[{name}]": value for name, value in card.items()}
    method = (await interpreter.client.post("/v1/payment_methods", data=form)).json()
    attempt = house.attempt("authorize", card=method["id"])
    waiting = await house.send(attempt)
    assert outcome(waiting) == "UNKNOWN"
    assert "page" in waiting.anomaly
    reference = waiting.processor_reference
    intent = (await interpreter.client.get(f"/v1/payment_intents/{reference}")).json()
    await interpreter.client.post(
        f"/v1/payment_intents/{reference}/_authenticate",
        data={"client_secret": intent["client_secret"], "success": "true"},
    )
    attempt.processor_reference = reference
    assert outcome(await house.lookup(attempt)) == "SUCCEEDED"
