"""Holds that end otherwise than by our own doing, told by the sandbox's webhooks over HTTP."""

from typing import Final

import httpx
import pytest

from tests.gateway.http.stage import JsonObject, Shop, order
from tests.webhooks.conftest import eventually
from tests.webhooks.end_to_end.platform import CAPTURE, Platform, event_about

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAPTURED: Final = [CAPTURE]


async def _waiting(shop: Shop) -> JsonObject:
    """A payment whose customer is to authenticate."""
    answer = await shop.post(
        "/payments", order(10_000, payment_method="pm_card_threeDSecureRequired")
    )
    assert (answer.status, answer.body["status"]) == (201, "confirming")
    body: JsonObject = answer.body
    return body


async def _decide(payment: JsonObject, outcome: str) -> None:
    async with httpx.AsyncClient() as browser:
        page = payment["next_action"]["redirect_url"]
        answer = await browser.post(page, data={"outcome": outcome})
        assert answer.status_code < 400, answer.text


async def _held(shop: Shop) -> JsonObject:
    payment = await shop.pay(10_000, capture_method="manual")
    assert payment["status"] == "authorized"
    return payment


async def _causes(platform: Platform, payment: JsonObject) -> dict[str, str]:
    rows = await platform.rows(
        "select t.to_state, t.cause from payments.transitions t join payments.payments p"
        " on p.id = t.payment_id where p.idempotency_key = $1",
        payment["idempotency_key"],
    )
    return {row["to_state"]: row["cause"] for row in rows}


async def _operations(platform: Platform, payment: JsonObject) -> list[str]:
    rows = await platform.rows(
        "select operation from payments.attempts a join payments.payments p"
        " on p.id = a.payment_id where p.idempotency_key = $1 order by number",
        payment["idempotency_key"],
    )
    return [row["operation"] for row in rows]


async def test_a_customer_who_authenticates_is_charged_by_the_webhook_alone(
    platform: Platform, shop: Shop
) -> None:
    payment = await _waiting(shop)
    await _decide(payment, "complete")
    paid = await platform.until(shop, payment, status="captured", next_action=None)
    assert paid["amount_captured"] == 10_000
    assert (await _causes(platform, payment))["authorized"].startswith("event:evt_")
    assert await platform.booked(shop, payment) == CAPTURED


async def test_a_customer_who_fails_to_authenticate_is_told_of_by_the_webhook_alone(
    platform: Platform, shop: Shop
) -> None:
    payment = await _waiting(shop)
    await _decide(payment, "fail")
    failed = await platform.until(shop, payment, status="failed")
    assert failed["result"]["final_error"]["code"] == "authentication_required"
    assert await platform.booked(shop, payment) == []


async def test_a_capture_in_doubt_is_settled_by_the_webhook_alone(
    platform: Platform, shop: Shop
) -> None:
    payment = await _held(shop)
    await platform.outside.mischief(paused=True)
    await platform.outside.strike("reply_lost", "payment_intents.capture")
    await platform.outside.strike("server_error", "payment_intents.retrieve")
    await shop.post(f"/payments/{payment['id']}/capture")
    await platform.until(shop, payment, status="authorized", in_doubt=True)
    await platform.outside.mischief()
    await platform.until(shop, payment, status="captured", in_doubt=False)
    assert (await _causes(platform, payment))["captured"].startswith("event:evt_")
    assert await platform.booked(shop, payment) == CAPTURED


async def test_a_capture_in_doubt_whose_hold_is_canceled_has_failed(
    platform: Platform, shop: Shop
) -> None:
    payment = await _held(shop)
    await platform.outside.strike("reset", "payment_intents.capture")
    await platform.outside.strike("server_error", "payment_intents.retrieve")
    await shop.post(f"/payments/{payment['id']}/capture")
    await platform.until(shop, payment, status="authorized", in_doubt=True)
    await platform.at_processor(payment, "cancel")
    voided = await platform.until(shop, payment, status="voided", in_doubt=False)
    assert (voided["amount_authorized"], voided["amount_captured"]) == (0, 0)
    assert await platform.booked(shop, payment) == []


async def test_a_hold_that_is_canceled_at_the_processor_is_voided(
    platform: Platform, shop: Shop
) -> None:
    payment = await _held(shop)
    await platform.at_processor(payment, "cancel", cancellation_reason="fraudulent")
    await platform.until(shop, payment, status="voided", amount_authorized=0)
    refused = await shop.post(f"/payments/{payment['id']}/capture")
    assert refused.status == 409
    assert await platform.booked(shop, payment) == []


async def test_a_hold_that_is_taken_at_the_processor_is_captured_and_booked(
    platform: Platform, shop: Shop
) -> None:
    payment = await _held(shop)
    await platform.at_processor(payment, "capture", amount_to_capture="6000")
    paid = await platform.until(shop, payment, status="captured", amount_captured=6_000)
    assert not paid["needs_reconciliation"]
    assert await platform.booked(shop, payment) == [
        ("capture", {"clearing": -6_000, "payable": 5_808, "fees": 192})
    ]


async def test_an_event_that_overtakes_the_answer_is_heard_first(
    platform: Platform, shop: Shop
) -> None:
    await platform.outside.strike("slow", "payment_intents.confirm", when="after", delay_ms=2_000)
    payment = await _held(shop)
    assert (await _causes(platform, payment))["authorized"].startswith("event:evt_")
    await platform.settled()
    assert await _operations(platform, payment) == ["authorize"]
    captured = await shop.post(f"/payments/{payment['id']}/capture")
    assert captured.body["status"] == "captured"
    assert await platform.booked(shop, payment) == CAPTURED


async def test_a_hundred_copies_at_once_are_stored_applied_and_booked_once(
    platform: Platform, shop: Shop
) -> None:
    payment = await _held(shop)
    await platform.settled()
    await platform.outside.mischief(paused=True)
    await platform.at_processor(payment, "capture")
    event = (await platform.events_of("payment_intent.succeeded"))[0]
    answers = await platform.tell(event, times=100)
    assert {answer.status_code for answer in answers} == {200}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    await platform.until(shop, payment, status="captured")
    await platform.outside.mischief(duplicate=1)
    await platform.settled()
    heard = await platform.rows(
        "select disposition from payments.applied_events where event_id = $1", event["id"]
    )
    assert [row["disposition"] for row in heard] == ["applied"]
    assert await platform.booked(shop, payment) == CAPTURED


async def test_a_failure_that_comes_after_the_success_is_stale(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    path = f"payment_intents/{await platform.hold_id(payment)}"
    intent = (await platform.outside.api.get(path)).json()
    late = event_about(
        {**intent, "status": "requires_payment_method", "amount_received": 0},
        "payment_intent.payment_failed",
    )
    (answer,) = await platform.tell(late)
    await platform.until_event(answer.json()["webhook_event_id"], "processed")
    (heard,) = await platform.rows(
        "select disposition from payments.applied_events where event_id = $1", late["id"]
    )
    assert heard["disposition"] == "stale"
    after = (await shop.get(f"/payments/{payment['id']}")).body
    assert (after["status"], after["amount_captured"]) == ("captured", 10_000)
    assert await platform.booked(shop, payment) == CAPTURED


async def test_what_another_account_says_of_our_hold_moves_nothing(
    platform: Platform, shop: Shop
) -> None:
    payment = await _held(shop)
    path = f"payment_intents/{await platform.hold_id(payment)}"
    intent = (await platform.outside.api.get(path)).json()
    for event_type in ("payment_intent.canceled", "payment_intent.succeeded"):
        alien = event_about({**intent, "amount_received": 10_000}, event_type)
        (answer,) = await platform.tell(alien, account="stripe_eu")
        event = await platform.until_event(answer.json()["webhook_event_id"], "unmatched")
        assert event["processor_id"] == "stripe_eu"
    await platform.settled()
    after = (await shop.get(f"/payments/{payment['id']}")).body
    assert (after["status"], after["amount_captured"]) == ("authorized", 0)
    assert await platform.booked(shop, payment) == []
    assert await platform.rows("select from messaging.dead_letters") == []


async def test_money_taken_after_the_payment_failed_goes_back_and_is_booked_both_ways(
    platform: Platform, shop: Shop
) -> None:
    payment = await _waiting(shop)
    await _decide(payment, "fail")
    await platform.until(shop, payment, status="failed")
    # The customer tries another card on a page of the processor's, and it is taken at once.
    await platform.at_processor(payment, "confirm", payment_method="pm_card_visa")
    hold = await platform.hold_id(payment)

    async def is_returned() -> bool:
        params = {"payment_intent": hold}
        refunds = (await platform.outside.api.get("refunds", params=params)).json()["data"]
        return [each["amount"] for each in refunds] == [10_000]

    await eventually(is_returned)
    await platform.until(shop, payment, status="failed", needs_reconciliation=True)

    async def are_booked() -> bool:
        return await platform.booked(shop, payment) == [
            ("late_success", {"clearing": -10_000, "unclaimed": 10_000}),
            ("late_success_returned", {"clearing": 10_000, "unclaimed": -10_000}),
        ]

    await eventually(are_booked)


async def test_a_hold_that_nobody_takes_in_time_runs_out(platform: Platform, shop: Shop) -> None:
    payment = await _held(shop)
    await platform.outside.pass_time(days=8)
    await platform.until(shop, payment, status="voided", amount_authorized=0)
    (row,) = await platform.rows(
        "select o.payload from messaging.outbox o where o.type = 'PaymentVoided' and o.key = $1",
        payment["id"],
    )
    assert b"expired" in row["payload"]
    assert await platform.booked(shop, payment) == []


async def test_the_oracle_finds_nothing_in_all_of_this(platform: Platform) -> None:
    report = await platform.report()
    assert report.is_clean, str(report)
