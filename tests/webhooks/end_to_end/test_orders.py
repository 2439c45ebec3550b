"""Whatever the order in which everything is told over HTTP, payments and ledger end the same.

`tests/orchestrator/test_hearing_orders.py` goes through all orders; here some go all the way, with
the processor's answer still out while the first of the events come in.
"""

import asyncio
import random
from collections import defaultdict
from typing import Final

import pytest

from tests.gateway.http.stage import JsonObject, Shop, order
from tests.webhooks.conftest import eventually
from tests.webhooks.end_to_end.platform import CAPTURE, Booking, Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PAYMENTS: Final = 10
_ANSWER_MS: Final = 2_000
_FACTS: Final = frozenset(
    {
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "refund.created",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    }
)
ENDING: Final[list[Booking]] = [
    CAPTURE,
    ("dispute_fee", {"clearing": 1_500, "payable": -1_500}),
    ("dispute_opened", {"clearing": 5_000, "disputed": -5_000}),
    ("dispute_won", {"clearing": -5_000, "disputed": 5_000}),
    ("refund", {"clearing": 3_000, "payable": -2_904, "fees": -96}),
]


async def _held(platform: Platform) -> list[str]:
    """The intents that are held at the processor, once that is all of them."""

    async def reached() -> list[str] | None:
        page = await platform.outside.api.get("payment_intents", params={"limit": 100})
        held = [each["id"] for each in page.json()["data"] if each["status"] == "requires_capture"]
        return held if len(held) == _PAYMENTS else None

    return await eventually(reached)


async def _live_through(platform: Platform, hold: str) -> None:
    """All that happens to a payment at the processor, before anybody here has heard of it."""
    api, controls = platform.outside.api, platform.outside.controls
    (await api.post(f"payment_intents/{hold}/capture")).raise_for_status()
    refund = {"payment_intent": hold, "amount": "3000"}
    (await api.post("refunds", data=refund)).raise_for_status()
    opened = await controls.post("disputes", json={"payment_intent": hold, "amount": 5_000})
    (await controls.post(f"disputes/{opened.json()['id']}/win", json={})).raise_for_status()


async def _facts(platform: Platform) -> list[list[JsonObject]]:
    """What there is to tell of each payment."""
    by_hold: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for event in await platform.outside.events():
        if event["type"] in _FACTS:
            subject = event["data"]["object"]
            by_hold[subject.get("payment_intent") or subject["id"]].append(event)
    return list(by_hold.values())


async def test_every_order_each_told_twice_comes_to_the_same_payment_and_ledger(
    platform: Platform, shop: Shop
) -> None:
    await platform.outside.mischief(paused=True)
    await platform.outside.strike(
        "slow", "payment_intents.confirm", when="after", delay_ms=_ANSWER_MS, count=_PAYMENTS
    )
    paying = [
        asyncio.create_task(shop.post("/payments", order(10_000, capture_method="manual")))
        for _ in range(_PAYMENTS)
    ]
    await asyncio.gather(*(_live_through(platform, hold) for hold in await _held(platform)))
    facts = await _facts(platform)
    assert [len(each) for each in facts] == [len(_FACTS)] * _PAYMENTS

    async def tell(number: int, events: list[JsonObject]) -> None:
        chance = random.Random(number)
        events = [*events, *events]
        chance.shuffle(events)
        for event in events:
            (answer,) = await platform.tell(event)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(chance.random() * _ANSWER_MS / 1000 / len(events) * 2)

    await asyncio.gather(*(tell(*each) for each in enumerate(facts)))
    payments = [(await each).body for each in paying]
    # The sandbox tells all of it once more, in yet another order.
    await platform.outside.mischief(duplicate=0.5, shuffle=16)
    await platform.settled()
    for payment in payments:
        after = await platform.until(shop, payment, status="disputed", posting="posted")
        amounts = (after["amount_captured"], after["amount_refunded"], after["amount_disputed"])
        assert amounts == (10_000, 3_000, 0)
        assert not after["needs_reconciliation"]
        assert await platform.booked(shop, payment) == ENDING


async def test_each_event_was_applied_once_and_none_was_given_up(platform: Platform) -> None:
    applied = await platform.rows(
        "select event_id from payments.applied_events group by event_id having count(*) > 1"
    )
    assert applied == []
    assert await platform.rows("select from messaging.dead_letters") == []
    report = await platform.report()
    assert report.is_clean, str(report)
