"""Faults: what each does to the wire, what is executed all the same, and that seeds repeat them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.conftest import Control

PAY = {
    "amount": 1000,
    "currency": "usd",
    "allowed_payment_method_types": ["card"],
    "payment_method": "pm_card_visa",
    "confirm": True,
}
AUTH = {"Authorization": "Bearer sk_test_merchant"}
FORM = (
    "amount=1000&currency=usd&allowed_payment_method_types[]=card"
    "&payment_method=pm_card_visa&confirm=true"
)


async def post(control: Control, key: str = "k", timeout: float = 30) -> httpx.Response:
    return await control.http.post(
        "/v1/payment_intents",
        content=FORM,
        headers=AUTH
        | {"Idempotency-Key": key, "Content-Type": "application/x-www-form-urlencoded"},
        timeout=timeout,
    )


async def charges(control: Control) -> int:
    return len((await control.get("record"))["charges"])


async def test_lost_reply_is_executed_and_replayed(control: Control) -> None:
    await control.post("faults", kind="reply_lost", operation="payment_intents.create", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await post(control)
    assert await charges(control) == 1
    answer = await post(control)
    assert (answer.json()["status"], answer.headers["idempotent-replayed"]) == ("succeeded", "true")
    assert await charges(control) == 1
    first, second = await control.attempts()
    assert (first["fault"], first["outcome"], first["status"]) == ("reply_lost", "executed", 200)
    assert (second["fault"], second["outcome"]) == (None, "replayed")


async def test_hang_is_executed_and_never_answered(control: Control) -> None:
    await control.post("faults", kind="hang", count=1)
    with pytest.raises(httpx.ReadTimeout):
        await post(control, timeout=0.5)
    assert await charges(control) == 1
    assert (await post(control)).json()["status"] == "succeeded"
    assert await charges(control) == 1


async def test_hang_before_executes_nothing(control: Control) -> None:
    await control.post("faults", kind="hang", when="before", delay_ms=100, count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await post(control)
    assert await charges(control) == 0
    assert (await control.attempts())[0]["outcome"] == "lost"
    assert "idempotent-replayed" not in (await post(control)).headers


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_reset(control: Control, when: str, executed: int) -> None:
    await control.post("faults", kind="reset", when=when, count=1)
    with pytest.raises(httpx.ReadError):
        await post(control)
    assert await charges(control) == executed
    assert (await post(control)).json()["status"] == "succeeded"
    assert await charges(control) == 1


async def test_slow_is_late_but_right(control: Control) -> None:
    await control.post("faults", kind="slow", delay_ms=300, count=1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await post(control)).json()["status"] == "succeeded"
    assert loop.time() - began >= 0.3


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_slow_may_have_executed_long_before_it_answers(
    control: Control, when: str, executed: int
) -> None:
    await control.post("faults", kind="slow", when=when, delay_ms=1_500, count=1)
    answering = asyncio.create_task(post(control))
    await asyncio.sleep(0.7)
    assert (await charges(control), answering.done()) == (executed, False)
    assert (await answering).json()["status"] == "succeeded"
    assert await charges(control) == 1


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_server_error(control: Control, when: str, executed: int) -> None:
    await control.post("faults", kind="server_error", when=when, count=1)
    for _ in range(2):
        answer = await post(control)
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "api_error")
    assert await charges(control) == executed


async def test_server_error_leaves_replays_alone(control: Control) -> None:
    await post(control)
    await control.post("faults", kind="server_error", count=1)
    assert (await post(control)).status_code == 200
    assert (await post(control, "k2")).status_code == 500


async def test_rate_limit(control: Control) -> None:
    await control.post("faults", kind="rate_limit", count=1)
    answer = await post(control)
    assert answer.status_code == 429
    assert answer.headers["stripe-should-retry"] == "true"
    assert await charges(control) == 0


@pytest.mark.parametrize(
    ("kind", "amount", "currency"),
    [("wrong_amount", 1001, "usd"), ("wrong_currency", 1000, "eur")],
)
async def test_wrong_money_is_only_in_the_answer(
    control: Control, kind: str, amount: int, currency: str
) -> None:
    await control.post("faults", kind=kind, count=1)
    answer = (await post(control)).json()
    assert (answer["amount"], answer["currency"]) == (amount, currency)
    truth = (await post(control)).json()
    assert (truth["amount"], truth["currency"]) == (1000, "usd")


async def test_wrong_money_leaves_errors_alone(control: Control) -> None:
    await control.post("faults", kind="wrong_amount", count=1)
    answer = await control.http.get("/v1/payment_intents/pi_x", headers=AUTH)
    assert answer.json()["error"]["code"] == "resource_missing"


async def test_garbage(control: Control) -> None:
    seen = {}
    for form in ("text", "html", "truncated"):
        await control.post("faults", kind="garbage", form=form, count=1)
        seen[form] = await post(control, form)
    assert seen["text"].text == "all is well"
    assert (seen["html"].status_code, seen["html"].headers["content-type"]) == (502, "text/html")
    assert seen["truncated"].text.startswith('{"id":"pi_')
    assert not seen["truncated"].text.endswith("}")
    await control.post("faults", kind="garbage", form="bytes", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await post(control, "bytes")
    assert await charges(control) == 4


async def test_sdk_sees_garbage_as_an_api_error(api: Any, control: Control) -> None:
    await control.post("faults", kind="garbage", form="html", count=1)
    with pytest.raises(stripe.APIError):
        await api.payment_intents.create_async(PAY)


async def test_rules_choose_operation_account_and_turn(api: Any, control: Control) -> None:
    await control.post("faults", kind="rate_limit", operation="refunds.*")
    await control.post("faults", kind="rate_limit", account="sk_test_somebody_else")
    assert (await api.payment_intents.create_async(PAY)).status == "succeeded"
    await control.post(
        "faults", kind="rate_limit", operation="payment_intents.create", skip=1, count=1
    )
    outcomes = [(await post(control, f"k{n}")).status_code for n in range(4)]
    assert outcomes == [200, 429, 200, 200]


async def test_rules_can_be_seen_and_taken_away(control: Control) -> None:
    rule = await control.post("faults", kind="rate_limit")
    other = await control.post("faults", kind="slow", delay_ms=1)
    await post(control)
    [seen, _] = (await control.get("faults"))["faults"]
    assert (seen["matched"], seen["struck"]) == (1, 1)
    left = (await control.http.delete(f"/_sandbox/faults/{rule['id']}")).json()["faults"]
    assert [each["id"] for each in left] == [other["id"]]
    assert (await control.http.delete("/_sandbox/faults")).json() == {"faults": []}
    assert (await post(control)).status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "unheard_of"},
        {"kind": "slow", "probability": 1.5},
        {"kind": "slow", "count": -1},
        {"kind": "slow", "colour": "red"},
        {},
    ],
)
async def test_rules_that_make_no_sense(control: Control, order: dict[str, Any]) -> None:
    answer = await control.http.post("/_sandbox/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def chances(control: Control, seed: int) -> tuple[list[int], list[str]]:
    await control.post("reset", seed=seed)
    await control.post("clock", now=1_800_000_000, frozen=True)
    await control.post("faults", kind="rate_limit", probability=0.5)
    answers = [await post(control, f"k{n}") for n in range(40)]
    ids = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    return [answer.status_code for answer in answers], ids


async def test_the_same_seed_is_the_same_run(control: Control) -> None:
    first, again, other = [await chances(control, seed) for seed in (11, 11, 12)]
    assert first == again
    assert first != other
    assert 5 < first[0].count(429) < 35


async def test_a_run_without_a_seed_has_new_ids(control: Control) -> None:
    before = (await post(control)).json()["id"]
    await control.post("reset")
    assert (await control.get("record"))["charges"] == []
    assert (await post(control)).json()["id"] != before
