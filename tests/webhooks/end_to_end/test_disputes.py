"""Disputes as the bank has them: opened, won, lost, beside refunds, beyond what is left: booked."""

import asyncio
from typing import Final

import pytest

from services.runtime.database import Record
from tests.gateway.http.stage import JsonObject, Shop, order
from tests.webhooks.conftest import eventually
from tests.webhooks.end_to_end.platform import CAPTURE, Booking, Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEE: Final[Booking] = ("dispute_fee", {"clearing": 1_500, "payable": -1_500})
OPENED: Final[Booking] = ("dispute_opened", {"clearing": 10_000, "disputed": -10_000})
WON: Final[Booking] = ("dispute_won", {"clearing": -10_000, "disputed": 10_000})
LOST: Final[Booking] = ("dispute_lost", {"disputed": 10_000, "payable": -10_000})
REFUND: Final[Booking] = ("refund", {"clearing": 4_000, "payable": -3_872, "fees": -128})


async def _dispute(platform: Platform, dispute_id: str) -> Record:
    (row,) = await platform.rows(
        "select * from payments.disputes where processor_reference = $1", dispute_id
    )
    return row


async def _excess(platform: Platform, payment: JsonObject) -> tuple[int, int, int]:
    """What of the step is refunded, disputed, and beyond what was captured."""
    (row,) = await platform.rows(
        "select refunded, disputed, excess from payments.steps where processor_reference = $1",
        await platform.hold_id(payment),
    )
    return row["refunded"], row["disputed"], row["excess"]


async def _violations(platform: Platform) -> int:
    (row,) = await platform.rows(
        "select count(*) as n from payments.payments where needs_reconciliation"
    )
    return int(row["n"])


async def test_a_dispute_takes_the_money_and_a_fee_until_it_is_won(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    dispute_id = await platform.disputed(payment)
    await platform.until(shop, payment, status="disputed", amount_disputed=10_000)
    await platform.settled()
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED]
    refused = await shop.post(f"/payments/{payment['id']}/refund", {"amount": 1})
    assert refused.status == 409, "what the bank has taken cannot be refunded"
    await platform.decided(dispute_id, "win")
    await platform.until(shop, payment, status="disputed", amount_disputed=0)
    await platform.settled()
    dispute = await _dispute(platform, dispute_id)
    assert (dispute["state"], dispute["funds_reinstated"]) == ("won", True)
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED, WON]
    refunded = await shop.post(f"/payments/{payment['id']}/refund", {"amount": 4_000})
    assert refunded.status == 201, refunded.text
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED, WON, REFUND]


async def test_a_lost_dispute_is_the_merchants_loss(platform: Platform, shop: Shop) -> None:
    payment = await shop.pay(10_000)
    dispute_id = await platform.disputed(payment, reason="product_not_received")
    await platform.outside.mischief(duplicate=1, shuffle=3)
    await platform.decided(dispute_id, "lose")
    await platform.settled()
    shown = await platform.until(shop, payment, status="disputed", amount_disputed=10_000)
    assert not shown["needs_reconciliation"]
    dispute = await _dispute(platform, dispute_id)
    assert (dispute["state"], dispute["reason"]) == ("lost", "product_not_received")
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, LOST, OPENED]


async def test_an_inquiry_takes_nothing(platform: Platform, shop: Shop) -> None:
    payment = await shop.pay(10_000, payment_method="pm_card_createDisputeInquiry")
    await platform.settled()
    after = (await shop.get(f"/payments/{payment['id']}")).body
    assert (after["status"], after["amount_disputed"]) == ("captured", 0)
    assert await platform.booked(shop, payment) == [CAPTURE]


async def test_a_dispute_that_overtakes_the_capture_is_kept_until_it_is_known(
    platform: Platform, shop: Shop
) -> None:
    await platform.settled()
    await platform.outside.mischief(paused=True)
    await platform.outside.strike(
        "slow", "payment_intents.confirm", when="after", delay_ms=2_500, count=1
    )
    known = await platform.outside.event_ids()
    disputed = order(10_000, payment_method="pm_card_createDispute")
    paying = asyncio.create_task(shop.post("/payments", disputed))

    async def opened() -> JsonObject | None:
        events = await platform.events_of("charge.dispute.funds_withdrawn")
        return next((event for event in events if event["id"] not in known), None)

    (answer,) = await platform.tell(await eventually(opened))
    await platform.until_event(answer.json()["webhook_event_id"], "unmatched")
    payment = (await paying).body
    await platform.until(shop, payment, status="disputed", amount_disputed=10_000)
    await platform.until_event(answer.json()["webhook_event_id"], "processed")
    await platform.outside.mischief()
    await platform.settled()
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED]
    assert await platform.rows("select from messaging.dead_letters") == []


async def test_a_dispute_after_a_refund_of_the_same_money_is_recorded_with_what_exceeds(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    assert (await shop.post(f"/payments/{payment['id']}/refund", {"amount": 4_000})).status == 201
    dispute_id = await platform.disputed(payment)
    shown = await platform.until(shop, payment, status="disputed", needs_reconciliation=True)
    assert (shown["amount_refunded"], shown["amount_disputed"]) == (4_000, 10_000)
    await platform.settled()
    assert await _excess(platform, payment) == (4_000, 10_000, 4_000)
    assert (await _dispute(platform, dispute_id))["excess"] == 4_000
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED, REFUND]


async def test_a_refund_that_ends_after_a_dispute_of_the_same_money_comes_to_the_same(
    platform: Platform, shop: Shop
) -> None:
    await platform.outside.stop_clock()
    payment = await shop.pay(10_000, payment_method="pm_card_pendingRefund")
    assert (await shop.post(f"/payments/{payment['id']}/refund", {"amount": 4_000})).status == 202
    dispute_id = await platform.disputed(payment)
    await platform.until(shop, payment, status="disputed", needs_reconciliation=True)
    assert (await _dispute(platform, dispute_id))["excess"] == 4_000
    await platform.outside.pass_time(seconds=3)
    await platform.until(shop, payment, amount_refunded=4_000)
    await platform.settled()
    assert await _excess(platform, payment) == (4_000, 10_000, 4_000)
    assert (await _dispute(platform, dispute_id))["excess"] == 4_000
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED, REFUND]


async def test_a_dispute_of_what_was_refunded_is_all_excess_and_leaves_it_refunded(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    assert (await shop.post(f"/payments/{payment['id']}/refund")).status == 201
    dispute_id = await platform.disputed(payment)
    await platform.settled()
    await platform.until(shop, payment, status="refunded", needs_reconciliation=True)
    assert await _excess(platform, payment) == (10_000, 10_000, 10_000)
    await platform.decided(dispute_id, "win")
    await platform.settled()
    assert await _excess(platform, payment) == (10_000, 0, 0)
    whole = ("refund", {"clearing": 10_000, "payable": -9_680, "fees": -320})
    assert await platform.booked(shop, payment) == [CAPTURE, FEE, OPENED, WON, whole]


async def test_the_oracle_finds_nothing_in_all_of_this(platform: Platform) -> None:
    report = await platform.report()
    assert report.is_clean, str(report)
