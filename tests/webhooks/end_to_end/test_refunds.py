"""Refunds that end later, fail, come back or were made elsewhere: told by webhooks, booked."""

from typing import Final

import pytest
import pytest_asyncio

from tests.gateway.http.stage import JsonObject, Shop
from tests.webhooks.conftest import eventually
from tests.webhooks.end_to_end.platform import CAPTURE, Booking, Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUND: Final[Booking] = ("refund", {"clearing": 4_000, "payable": -3_872, "fees": -128})
RETURNED: Final[Booking] = ("refund_returned", {"clearing": -4_000, "payable": 3_872, "fees": 128})


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def stopped_clock(platform: Platform) -> None:
    await platform.outside.stop_clock()


async def _refunded(shop: Shop, card: str, status: str) -> tuple[JsonObject, JsonObject]:
    """A payment, and a refund of a part of it that stands so."""
    payment = await shop.pay(10_000, payment_method=card)
    answer = await shop.post(f"/payments/{payment['id']}/refund", {"amount": 4_000})
    assert answer.body["status"] == status, answer.text
    return payment, answer.body


async def _until_refund(shop: Shop, refund: JsonObject, status: str) -> None:
    async def reached() -> bool:
        return bool((await shop.get(f"/refunds/{refund['id']}")).body["status"] == status)

    await eventually(reached)


async def _name(platform: Platform, payment: JsonObject) -> str:
    """What the payment's refund is called at the processor."""
    params = {"payment_intent": await platform.hold_id(payment)}
    (refund,) = (await platform.outside.api.get("refunds", params=params)).json()["data"]
    return str(refund["id"])


async def _reserved(platform: Platform, payment: JsonObject) -> int:
    (row,) = await platform.rows(
        "select refund_reserved from payments.steps where processor_reference = $1",
        await platform.hold_id(payment),
    )
    return int(row["refund_reserved"])


async def test_a_pending_refund_is_booked_when_the_webhook_says_it_succeeded(
    platform: Platform, shop: Shop
) -> None:
    payment, refund = await _refunded(shop, "pm_card_pendingRefund", "pending")
    assert await _reserved(platform, payment) == 4_000
    assert await platform.booked(shop, payment) == [CAPTURE]
    await platform.outside.pass_time(seconds=3)
    await platform.until(shop, payment, amount_refunded=4_000, status="captured")
    await _until_refund(shop, refund, "succeeded")
    assert await _reserved(platform, payment) == 0
    assert await platform.booked(shop, payment) == [CAPTURE, REFUND]


async def test_a_pending_refund_that_fails_frees_its_reserve_and_books_nothing(
    platform: Platform, shop: Shop
) -> None:
    payment, refund = await _refunded(shop, "pm_card_pendingRefund", "pending")
    path = f"/payments/{payment['id']}/refund"
    beyond = await shop.post(path, {"amount": 6_001})
    assert beyond.status == 409, "what is reserved cannot be promised again"
    await platform.decided(await _name(platform, payment), "fail")
    await _until_refund(shop, refund, "failed")
    after = (await shop.get(f"/payments/{payment['id']}")).body
    assert (after["status"], after["amount_refunded"]) == ("captured", 0)
    assert await _reserved(platform, payment) == 0
    assert await platform.booked(shop, payment) == [CAPTURE]
    again = await shop.post(path, {"amount": 10_000})
    assert again.status == 202, again.text
    await platform.outside.pass_time(seconds=3)
    await platform.until(shop, payment, status="refunded", amount_refunded=10_000)
    whole = ("refund", {"clearing": 10_000, "payable": -9_680, "fees": -320})
    assert await platform.booked(shop, payment) == [CAPTURE, whole]


async def test_a_refund_that_comes_back_after_it_was_paid_is_booked_back(
    platform: Platform, shop: Shop
) -> None:
    payment, _ = await _refunded(shop, "pm_card_refundFail", "succeeded")
    await platform.until(shop, payment, amount_refunded=4_000)
    await platform.outside.mischief(duplicate=1, shuffle=4)
    await platform.outside.pass_time(seconds=3)
    await platform.until(shop, payment, amount_refunded=0, needs_reconciliation=True)
    await platform.settled()
    assert await platform.booked(shop, payment) == [CAPTURE, REFUND, RETURNED]


async def test_a_full_refund_that_comes_back_leaves_its_amount_to_be_refunded_anew(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    path = f"/payments/{payment['id']}/refund"
    assert (await shop.post(path)).status == 201
    await platform.until(shop, payment, status="refunded")
    await platform.decided(await _name(platform, payment), "fail")
    after = await platform.until(shop, payment, amount_refunded=0)
    assert after["status"] == "refunded", "no state goes backward"
    assert after["needs_reconciliation"]
    assert [kind for kind, _ in await platform.booked(shop, payment)] == [
        "capture", "refund", "refund_returned"
    ]  # fmt: skip


async def test_refunds_made_at_the_processor_are_booked_until_nothing_is_left(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    hold = await platform.hold_id(payment)
    for amount in (4_000, 6_000):
        form = {"payment_intent": hold, "amount": str(amount)}
        assert (await platform.outside.api.post("refunds", data=form)).status_code == 200
    await platform.until(shop, payment, status="refunded", amount_refunded=10_000)
    rest = ("refund", {"clearing": 6_000, "payable": -5_808, "fees": -192})
    assert await platform.booked(shop, payment) == [CAPTURE, REFUND, rest]
    refused = await shop.post(f"/payments/{payment['id']}/refund", {"amount": 1})
    assert (refused.status, refused.code) == (409, "already_refunded")


async def test_an_event_of_a_refund_that_overtakes_the_answer_is_heard_once(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    await platform.outside.strike("slow", "refunds.create", when="after", delay_ms=1_500)
    answer = await shop.post(f"/payments/{payment['id']}/refund", {"amount": 4_000})
    assert (answer.status, answer.body["status"]) == (201, "succeeded")
    await platform.settled()
    (heard,) = await platform.rows(
        "select count(*) as n from payments.applied_events e join payments.payments p"
        " on p.id = e.payment_id where p.idempotency_key = $1 and e.disposition = 'applied'"
        " and starts_with(e.native_type, 'refund.')",
        payment["idempotency_key"],
    )
    assert heard["n"] == 1
    after = (await shop.get(f"/payments/{payment['id']}")).body
    assert (after["amount_refunded"], await _reserved(platform, payment)) == (4_000, 0)
    assert await platform.booked(shop, payment) == [CAPTURE, REFUND]


async def test_the_oracle_finds_nothing_in_all_of_this(platform: Platform) -> None:
    report = await platform.report()
    assert report.is_clean, str(report)
