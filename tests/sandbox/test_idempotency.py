"""Idempotency keys: the first answer is replayed, whatever it was, unless nothing was executed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Control, Merchant, eventually

USD = {"amount": 1000, "currency": "usd"}
CARD = {"allowed_payment_method_types": ["card"]}
PAY = {**USD, **CARD, "payment_method": "pm_card_visa", "confirm": True}


def key(name: str) -> dict[str, Any]:
    return {"idempotency_key": name}


async def test_same_key_same_answer_one_charge(api: Any, control: Control) -> None:
    first = await api.payment_intents.create_async(PAY, key("k"))
    again = await api.payment_intents.create_async(PAY, key("k"))
    assert again.to_dict() == first.to_dict()
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert again.last_response.request_id != first.last_response.request_id
    record = await control.get("record")
    assert len(record["charges"]) == 1
    assert [each["outcome"] for each in record["attempts"]] == ["executed", "replayed"]
    assert {each["idempotency_key"] for each in record["attempts"]} == {"k"}
    assert record["charges"][0]["idempotency_key"] == "k"


async def test_order_of_parameters_does_not_matter(api: Any) -> None:
    first = await api.payment_intents.create_async({"amount": 1000, "currency": "usd"}, key("k"))
    again = await api.payment_intents.create_async({"currency": "usd", "amount": 1000}, key("k"))
    assert again.id == first.id


async def test_other_parameters_are_an_error(api: Any) -> None:
    await api.payment_intents.create_async(USD, key("k"))
    with pytest.raises(stripe.IdempotencyError) as refused:
        await api.payment_intents.create_async({**USD, "amount": 1001}, key("k"))
    assert refused.value.http_status == 400


async def test_another_endpoint_is_an_error(api: Any) -> None:
    await api.payment_intents.create_async(USD, key("k"))
    with pytest.raises(stripe.IdempotencyError):
        await api.customers.create_async({}, key("k"))


async def test_declines_are_replayed(api: Any, control: Control) -> None:
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            await api.payment_intents.create_async(
                {**PAY, "payment_method": "pm_card_chargeDeclined"}, key("k")
            )
    assert (declined.value.headers or {})["idempotent-replayed"] == "true"
    assert len((await control.get("record"))["charges"]) == 1


async def test_refusals_of_the_state_are_replayed(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, **CARD})
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await api.payment_intents.confirm_async(intent.id, {}, key("k"))
    assert (refused.value.headers or {})["idempotent-replayed"] == "true"


async def test_validation_failures_do_not_burn_the_key(api: Any) -> None:
    for params in ({"amount": "x", "currency": "usd"}, {**USD, "payment_method": "pm_unknown"}):
        with pytest.raises(stripe.InvalidRequestError):
            await api.payment_intents.create_async(params, key("k"))
    assert (await api.payment_intents.create_async(USD, key("k"))).amount == 1000


async def test_server_errors_are_replayed(api: Any, control: Control) -> None:
    await control.post("faults", kind="server_error", count=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await api.payment_intents.create_async(PAY, key("k"))
        assert failed.value.http_status == 500
    assert (failed.value.headers or {})["idempotent-replayed"] == "true"
    assert (await control.get("record"))["charges"] == []
    assert (await api.payment_intents.create_async(PAY, key("k2"))).status == "succeeded"


async def test_rate_limits_are_not_kept(api: Any, control: Control) -> None:
    await control.post("faults", kind="rate_limit", count=1)
    with pytest.raises(stripe.RateLimitError) as refused:
        await api.payment_intents.create_async(PAY, key("k"))
    assert refused.value.http_status == 429
    assert (await api.payment_intents.create_async(PAY, key("k"))).status == "succeeded"


async def test_a_key_in_flight_is_a_conflict(api: Any, control: Control) -> None:
    await control.post("faults", kind="slow", delay_ms=1500, count=1)
    slow = asyncio.create_task(api.payment_intents.create_async(PAY, key("k")))

    async def struck() -> bool:
        return bool((await control.get("faults"))["faults"][0]["struck"])

    await eventually(struck)
    with pytest.raises(stripe.APIError) as conflict:
        await api.payment_intents.create_async(PAY, key("k"))
    assert conflict.value.http_status == 409
    error: Any = conflict.value.error
    assert (error.type, error.code) == ("idempotency_error", "idempotency_key_in_use")
    first = await slow
    assert (await api.payment_intents.create_async(PAY, key("k"))).id == first.id


async def test_a_hundred_at_once_are_one_charge(api: Any, control: Control) -> None:
    answers = await asyncio.gather(
        *(api.payment_intents.create_async(PAY, key("k")) for _ in range(100)),
        return_exceptions=True,
    )
    paid = {answer.id for answer in answers if isinstance(answer, stripe.PaymentIntent)}
    conflicts = [answer for answer in answers if getattr(answer, "http_status", None) == 409]
    assert len(paid) == 1
    assert len(conflicts) + sum(isinstance(a, stripe.PaymentIntent) for a in answers) == 100
    assert len((await control.get("record"))["charges"]) == 1


async def test_keys_expire_after_a_day_of_the_clock(api: Any, control: Control) -> None:
    first = await api.payment_intents.create_async(USD, key("k"))
    await control.post("clock", advance_seconds=24 * 3600 - 60)
    assert (await api.payment_intents.create_async(USD, key("k"))).id == first.id
    await control.post("clock", advance_seconds=120)
    second = await api.payment_intents.create_async({**USD, "amount": 2000}, key("k"))
    assert second.id != first.id


async def test_keys_belong_to_their_account(merchant: Merchant) -> None:
    one, other = merchant("sk_test_one").v1, merchant("sk_test_other").v1
    first = await one.payment_intents.create_async(USD, key("k"))  # type: ignore[arg-type]  # plain dicts
    second = await other.payment_intents.create_async(USD, key("k"))  # type: ignore[arg-type]  # plain dicts
    assert first.id != second.id


@pytest.mark.parametrize("name", ["", "k" * 256])
async def test_keys_that_cannot_be_kept(control: Control, name: str) -> None:
    answer = await control.http.post(
        "/v1/customers", headers={"Authorization": "Bearer sk_test_a", "Idempotency-Key": name}
    )
    assert answer.status_code == 400


async def test_keys_mean_nothing_on_reads(api: Any) -> None:
    intent = await api.payment_intents.create_async(USD)
    first = await api.payment_intents.retrieve_async(intent.id, {}, key("k"))
    await api.payment_intents.update_async(intent.id, {"description": "Shoes"})
    second = await api.payment_intents.retrieve_async(intent.id, {}, key("k"))
    assert (first.description, second.description) == (None, "Shoes")
