"""Webhooks: signed so that the SDK accepts them, retried, and treated badly on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.server import Options, Sandbox
from tests.sandbox.conftest import Control, Merchant, Receiver, eventually
from tests.sandbox.test_refunds import paid

PAID = ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]


SECRET = "whsec_known"  # noqa: S105 (a test's own)


async def until(condition: Callable[[], bool]) -> None:
    async def met() -> bool:
        return condition()

    await eventually(met)


async def states(control: Control) -> set[str]:
    return {row["state"] for row in (await control.get("record"))["deliveries"]}


async def registered(api: Any, receiver: Receiver, events: list[str] | None = None) -> Any:
    return await api.webhook_endpoints.create_async(
        {"url": receiver.url, "enabled_events": events or ["*"]}
    )


async def test_events_arrive_signed(api: Any, receiver: Receiver) -> None:
    endpoint = await registered(api, receiver)
    intent = await paid(api)
    await until(lambda: len(receiver.requests) == 3)
    events: list[Any] = receiver.events(endpoint.secret)
    assert sorted(event.type for event in events) == PAID
    [succeeded] = [event for event in events if event.type == "payment_intent.succeeded"]
    assert succeeded.data.object.id == intent.id
    assert succeeded.data.object.status == "succeeded"
    assert succeeded.request.id == intent.last_response.request_id
    assert succeeded.pending_webhooks == 1
    listed = await api.events.retrieve_async(succeeded.id)
    assert (listed.type, listed.created) == (succeeded.type, succeeded.created)


async def test_a_wrong_secret_is_refused_by_the_sdk(api: Any, receiver: Receiver) -> None:
    await registered(api, receiver)
    await paid(api)
    await until(lambda: bool(receiver.requests))
    with pytest.raises(stripe.SignatureVerificationError):
        receiver.events("whsec_another")


async def test_only_wanted_events_of_ones_own(
    api: Any, receiver: Receiver, merchant: Merchant
) -> None:
    endpoint = await registered(api, receiver, ["charge.succeeded"])
    await paid(merchant("sk_test_other").v1)
    await paid(api)
    await until(lambda: bool(receiver.requests))
    await asyncio.sleep(0.1)
    assert [event.type for event in receiver.events(endpoint.secret)] == ["charge.succeeded"]


async def test_refused_deliveries_are_tried_again(
    api: Any, receiver: Receiver, control: Control
) -> None:
    await control.post("webhooks", retry_base_ms=10)
    receiver.statuses = [500, 404, 200]
    endpoint = await registered(api, receiver, ["payment_intent.succeeded"])
    await paid(api)
    await until(lambda: len(receiver.requests) == 3)
    assert len({event.id for event in receiver.events(endpoint.secret)}) == 1

    async def delivered() -> bool:
        return await states(control) == {"delivered"}

    await eventually(delivered)
    [delivery] = (await control.get("record"))["deliveries"]
    assert (delivery["tries"], delivery["last_result"]) == (3, "200")


async def test_deliveries_that_never_arrive_can_be_listed(api: Any, control: Control) -> None:
    await control.post("webhooks", retry_base_ms=0)
    await api.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/nobody", "enabled_events": ["charge.succeeded"]}
    )
    await paid(api)
    undelivered = await api.events.list_async({"delivery_success": False})
    assert [event.type for event in undelivered.data] == ["charge.succeeded"]
    assert len((await api.events.list_async({"delivery_success": True})).data) == 2

    async def given_up() -> bool:
        return await states(control) == {"failed"}

    await eventually(given_up)


async def test_duplicates(api: Any, receiver: Receiver, control: Control) -> None:
    await control.post("webhooks", duplicate=1.0)
    endpoint = await registered(api, receiver, ["charge.succeeded"])
    await paid(api)
    await until(lambda: len(receiver.requests) == 2)
    assert len({event.id for event in receiver.events(endpoint.secret)}) == 1


async def test_dropped_webhooks_are_in_the_list_of_events(
    api: Any, receiver: Receiver, control: Control
) -> None:
    await control.post("webhooks", drop=1.0)
    await registered(api, receiver)
    await paid(api)

    async def dropped() -> bool:
        return await states(control) == {"dropped"}

    await eventually(dropped)
    assert receiver.requests == []
    assert len((await api.events.list_async()).data) == 3
    await control.post("webhooks", drop=0.0)
    [event] = (await api.events.list_async({"type": "charge.succeeded"})).data
    assert await control.post(f"events/{event.id}/resend") == {"deliveries": 1}
    await until(lambda: len(receiver.requests) == 1)


async def test_delays(api: Any, receiver: Receiver, control: Control) -> None:
    await control.post("webhooks", delay_min_ms=300, delay_max_ms=400)
    await registered(api, receiver, ["charge.succeeded"])
    loop = asyncio.get_running_loop()
    began = loop.time()
    await paid(api)
    await until(lambda: bool(receiver.requests))
    assert loop.time() - began >= 0.3


async def order_of_arrival(api: Any, receiver: Receiver, control: Control, **how: Any) -> list[str]:
    await control.post("reset", seed=3)
    await control.post("webhooks", **how)
    endpoint = await registered(api, receiver)
    receiver.requests.clear()
    intents = [(await paid(api)).id for _ in range(8)]
    await until(lambda: len(receiver.requests) == 24)
    arrived = [event.id for event in receiver.events(endpoint.secret)]
    sent = [event.id for event in reversed((await api.events.list_async({"limit": 100})).data)]
    assert sorted(arrived) == sorted(sent)
    assert len(intents) == 8
    return [str(sent.index(event)) for event in arrived]


async def test_shuffled(api: Any, receiver: Receiver, control: Control) -> None:
    order = await order_of_arrival(api, receiver, control, shuffle=24)
    moved = sum(abs(int(place) - number) > 3 for number, place in enumerate(order))
    assert moved > 8


async def test_paused_then_all_at_once(api: Any, receiver: Receiver, control: Control) -> None:
    await control.post("webhooks", paused=True)
    await registered(api, receiver)
    await paid(api)
    await asyncio.sleep(0.3)
    assert receiver.requests == []
    await control.post("webhooks", paused=False)
    await until(lambda: len(receiver.requests) == 3)


@pytest.mark.parametrize(
    "order", [{"drop": 2}, {"delay_min_ms": 5, "delay_max_ms": 1}, {"dropp": 1}]
)
async def test_mischief_that_makes_no_sense(control: Control, order: dict[str, Any]) -> None:
    answer = await control.http.post("/_sandbox/webhooks", json=order)
    assert answer.status_code == 400


async def test_endpoint_life(api: Any, receiver: Receiver) -> None:
    endpoint = await registered(api, receiver)
    assert endpoint.secret.startswith("whsec_")
    found = await api.webhook_endpoints.retrieve_async(endpoint.id)
    assert "secret" not in found
    updated = await api.webhook_endpoints.update_async(
        endpoint.id,
        {"disabled": True, "metadata": {"a": "1"}, "url": f"{receiver.url}/2"},
    )
    assert (updated.status, updated.url) == ("disabled", f"{receiver.url}/2")
    assert (await api.webhook_endpoints.delete_async(endpoint.id)).deleted
    assert (await api.webhook_endpoints.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.webhook_endpoints.retrieve_async(endpoint.id)
    assert refused.value.http_status == 404
    for url in ("ftp://shop.example", "shop.example", "http://"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await api.webhook_endpoints.create_async({"url": url, "enabled_events": ["*"]})
        assert refused.value.param == "url"


async def test_endpoint_of_the_command_line_hears_everybody(
    tmp_path: Path, receiver: Receiver
) -> None:
    options = Options(data=tmp_path / "s", port=0, webhook_url=receiver.url, webhook_secret=SECRET)
    for round_number in (1, 2):
        sandbox = await Sandbox.start(options)
        http_client: Any = stripe.HTTPXClient()
        client = stripe.StripeClient(
            "sk_test_any",
            base_addresses={"api": f"http://127.0.0.1:{sandbox.http.port}"},
            http_client=http_client,
        )
        await paid(client.v1)
        await until(lambda wanted=3 * round_number: len(receiver.requests) == wanted)  # type: ignore[misc]  # a default binds it
        await http_client.close_async()
        await sandbox.close()
    assert sorted(event.type for event in receiver.events(SECRET)) == sorted(PAID * 2)
