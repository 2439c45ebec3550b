"""Stripe's events in the platform's words, as the sandbox tells them and as Stripe might."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.processor.adapters.stripe.events import read_delivery
from services.processor.domain.event import EventType
from services.processor.domain.verdict import Misfit
from tests.processor.conftest import Outside
from tests.processor.house import House, error_code, event_type


def relevant(events: Sequence[Any]) -> list[str]:
    return [event_type(event) for event in events if event_type(event) != "IGNORED"]


async def test_a_dispute_is_told_from_its_opening_to_its_end(
    stripe_house: House, outside: Outside
) -> None:
    reference = await stripe_house.captured(card="pm_card_createDispute")
    [dispute] = (await outside.record("disputes"))["disputes"]
    await outside.order(f"disputes/{dispute['id']}/win")
    events = await stripe_house.events()
    told = [event for event in events if event.object_id == dispute["id"]]
    assert relevant(told)[:2] == ["DISPUTE_OPENED", "DISPUTE_FUNDS_WITHDRAWN"]
    assert sorted(relevant(told)[2:]) == ["DISPUTE_FUNDS_REINSTATED", "DISPUTE_WON"]
    assert {event.processor_reference for event in told} == {reference}
    assert {event.amount.amount_minor for event in told} == {1250}
    assert [event.HasField("fee") for event in told[:2]] == [False, True]
    assert not [event for event in told[2:] if event.HasField("fee")]
    assert {event.native_reason for event in told} == {"fraudulent"}


async def test_a_lost_dispute_is_told_as_lost(stripe_house: House, outside: Outside) -> None:
    await stripe_house.captured(card="pm_card_createDispute")
    [dispute] = (await outside.record("disputes"))["disputes"]
    await outside.order(f"disputes/{dispute['id']}/lose")
    assert relevant(await stripe_house.events())[-1] == "DISPUTE_LOST"


async def test_an_inquiry_is_no_dispute_yet(stripe_house: House) -> None:
    await stripe_house.captured(card="pm_card_createDisputeInquiry")
    assert relevant(await stripe_house.events()) == ["AUTHORIZED", "CAPTURED"]


async def test_a_decline_an_action_and_a_void_are_told(stripe_house: House) -> None:
    declined = stripe_house.attempt("authorize", card="pm_card_chargeDeclinedInsufficientFunds")
    await stripe_house.send(declined)
    waiting = await stripe_house.send(
        stripe_house.attempt("authorize", card="pm_card_threeDSecure2Required")
    )
    await stripe_house.send(stripe_house.attempt("void", hold=waiting.processor_reference))
    events = await stripe_house.events()
    assert relevant(events) == ["FAILED", "ACTION_REQUIRED", "CANCELED"]
    [failed] = [event for event in events if event_type(event) == "FAILED"]
    assert failed.attempt_id == declined.id
    assert error_code(failed) == "INSUFFICIENT_FUNDS"
    assert failed.native_reason == "insufficient_funds"


async def test_a_refund_that_fails_later_is_told(stripe_house: House, outside: Outside) -> None:
    reference = await stripe_house.captured(card="pm_card_refundFail")
    refund = stripe_house.attempt("refund", hold=reference)
    await stripe_house.send(refund)
    await outside.order("clock", advance_seconds=10)
    found = await stripe_house.lookup(refund)
    assert found.decline_code == "expired_or_canceled_card"
    failed = [e for e in await stripe_house.events() if event_type(e) == "REFUND_FAILED"]
    assert {event.attempt_id for event in failed} == {refund.id}
    assert {event.native_reason for event in failed} == {"expired_or_canceled_card"}


async def test_a_capture_of_a_part_is_told_with_what_was_taken(stripe_house: House) -> None:
    capture = stripe_house.attempt("capture", 800, hold=await stripe_house.hold(1250))
    await stripe_house.send(capture)
    told = {event_type(e): e.amount.amount_minor for e in await stripe_house.events()}
    assert (told["AUTHORIZED"], told["CAPTURED"]) == (1250, 800)


@pytest.mark.parametrize("page_size", [1, 7, 100])
async def test_many_events_come_in_order_and_each_once(
    stripe_house: House, outside: Outside, page_size: int
) -> None:
    for _ in range(12):
        await stripe_house.captured()
    every = (await outside.record("events"))["events"]
    assert len(every) > 40
    events = await stripe_house.events(page_size=page_size)
    assert [event.id for event in events] == [event["id"] for event in every]


async def test_a_window_holds_what_happened_in_it(stripe_house: House, outside: Outside) -> None:
    await stripe_house.hold()
    now = datetime.now(UTC)
    later = now + timedelta(hours=1)
    await outside.order("clock", now=later.timestamp())
    await stripe_house.hold()
    early = await stripe_house.events(occurred_before=now + timedelta(minutes=1))
    late = await stripe_house.events(occurred_from=now + timedelta(minutes=1))
    assert relevant(early) == relevant(late) == ["AUTHORIZED"]
    assert early[0].occurred_at.ToDatetime(UTC) < late[0].occurred_at.ToDatetime(UTC)


def delivery(kind: str, subject: Any, **more: Any) -> bytes:
    event = {"object": "event", "id": "evt_1", "type": kind, "created": 1_700_000_000}
    return json.dumps(event | {"data": {"object": subject}} | more).encode()


def test_what_concerns_nothing_here_is_ignored() -> None:
    for kind, subject in (
        ("customer.created", {"object": "customer"}),
        ("charge.captured", {"object": "charge"}),
        ("a.kind.of.tomorrow", None),
        ("refund.created", {"object": "refund", "id": "re_1", "payment_intent": None}),
        ("charge.dispute.closed", {"object": "dispute", "status": "warning_closed",
                                   "payment_intent": "pi_1"}),
    ):  # fmt: skip
        assert read_delivery(delivery(kind, subject)).type is EventType.IGNORED


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("payment_intent.succeeded", None),
        ("payment_intent.succeeded", []),
        ("payment_intent.succeeded", {"object": "charge", "payment_intent": "pi_1"}),
        ("payment_intent.succeeded", {"object": "payment_intent", "id": "pi_1", "amount": "1"}),
        ("refund.updated", {"object": "refund", "id": "re_1", "payment_intent": "pi_1",
                            "amount": 1, "currency": "usd", "status": "lost"}),
        ("refund.updated", {"object": "refund", "id": "re_1", "payment_intent": "pi_1",
                            "amount": 1.5, "currency": "usd", "status": "failed"}),
        ("charge.dispute.created", {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1"}),
        ("charge.dispute.created", {"object": "refund", "payment_intent": "pi_1"}),
    ],
)  # fmt: skip
def test_an_event_of_ours_that_makes_no_sense_is_refused(kind: str, subject: Any) -> None:
    with pytest.raises(Misfit):
        read_delivery(delivery(kind, subject))


def test_an_event_is_kept_without_secrets() -> None:
    subject = {"object": "payment_intent", "client_secret": "hush", "note": "4242424242424242"}
    event = read_delivery(delivery("payment_intent.processing", subject, api_version="2026-10-28"))
    assert event.api_version == "2026-10-28"
    assert b"hush" not in event.raw
    assert b"4242424242424242" not in event.raw
    assert json.loads(event.raw)["id"] == "evt_1"
