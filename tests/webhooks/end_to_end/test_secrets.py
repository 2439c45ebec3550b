"""A secret is exchanged while payments go on: every delivery is taken at the first try."""

import asyncio

import pytest

from tests.gateway.http.stage import JsonObject, Shop
from tests.webhooks.end_to_end.platform import CAPTURE, Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_secret_is_exchanged_without_a_gap(platform: Platform, shop: Shop) -> None:
    account, api = platform.accounts["stripe"], platform.outside.api
    file = platform.folder / "stripe.secret"
    payments: list[JsonObject] = []
    is_over = asyncio.Event()

    async def sell() -> None:
        while not is_over.is_set():
            payment = await shop.pay(10_000, capture_method="manual")
            # It is by webhook alone that this is known.
            await platform.at_processor(payment, "capture")
            payments.append(payment)

    selling = asyncio.create_task(sell())
    hook = {"url": f"{platform.stage.server.url}/api/v1/webhooks/stripe", "enabled_events[]": "*"}
    made = (await api.post("webhook_endpoints", data={**hook, "url": "http://127.0.0.1:9/"})).json()
    file.write_text(f"{made['secret']},{account.secret}")
    await asyncio.sleep(1.5)
    (await api.post(f"webhook_endpoints/{made['id']}", data=hook)).raise_for_status()
    await asyncio.sleep(0.5)
    (await api.delete(f"webhook_endpoints/{account.endpoint_id}")).raise_for_status()
    await asyncio.sleep(0.5)
    is_over.set()
    await selling
    await platform.settled()
    file.write_text(made["secret"])
    await asyncio.sleep(1.5)
    payments.append(await shop.pay(10_000))
    await platform.settled()
    for payment in payments:
        await platform.until(shop, payment, status="captured")
        assert await platform.booked(shop, payment) == [CAPTURE]
    refused = {"outcome": "refused"}
    registry = platform.stage.system.telemetry.registry
    assert not registry.get_sample_value("webhooks_received_total", refused)
    (old,) = await platform.tell({"id": "evt_late", "object": "event"})
    assert old.status_code == 401, "the old secret opens nothing any more"
