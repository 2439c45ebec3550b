"""Applying: each event once, whatever comes in between; what has no payment waits for one."""

import asyncio
from datetime import timedelta

import pytest
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_event_pb2 import WebhookEventState as State
from structlog.testing import capture_logs

from services.kernel.errors import (
    Conflict,
    Internal,
    InvalidArgument,
    NotFound,
    Reason,
    Unavailable,
)
from services.runtime.rpc import typed_errors
from services.webhooks.domain.event import pause_before_check
from tests.webhooks.conftest import House, Manner, eventually, running_house
from tests.webhooks.letters import intent_event, letter
from tests.webhooks.stand_in_orchestrator import StandInOrchestrator

PROCESSED = State.WEBHOOK_EVENT_STATE_PROCESSED
UNMATCHED = State.WEBHOOK_EVENT_STATE_UNMATCHED
IGNORED = State.WEBHOOK_EVENT_STATE_IGNORED
FAILED = State.WEBHOOK_EVENT_STATE_FAILED


async def test_an_event_is_told_to_the_orchestrator_in_the_platforms_words(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    answer = await house.receive(letter(intent_event(event_id="evt_told", intent_id="pi_7")))
    event = await house.until(PROCESSED, answer.webhook_event_id)
    assert event.payment_id == orchestrator.payment_id
    assert event.attempt_count == 1
    assert event.HasField("processed_at")
    (request,) = orchestrator.requests
    assert request.idempotency_key == request.webhook_event_id == answer.webhook_event_id
    assert (request.event.id, request.event.processor_reference) == ("evt_told", "pi_7")
    assert request.event.amount.amount_minor == 1250


async def test_what_was_applied_is_counted_timed_and_logged(house: House) -> None:
    with capture_logs() as lines:
        answer = await house.receive(letter())
        await house.until(PROCESSED, answer.webhook_event_id)
    labels = {"event_type": "payment_intent.succeeded"}
    assert house.counted("webhooks_processed_total", labels) == 1
    assert house.counted("webhook_latency_seconds_count") == 1
    (line,) = [line for line in lines if line["event"] == "webhook applied"]
    assert line["disposition"] == "applied"
    assert line["payment_id"].startswith("pay_")
    assert line["merchant_id"].startswith("mer_")


async def test_a_type_that_nobody_knows_is_counted_as_other_and_ignored(house: House) -> None:
    answer = await house.receive(letter(intent_event(event_type="moon.landed")))
    event = await house.until(IGNORED, answer.webhook_event_id)
    assert event.HasField("processed_at")
    assert house.counted("webhooks_processed_total", {"event_type": "other"}) == 1


async def test_an_account_that_two_processors_share_is_asked_as_both(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    orchestrator.processor_ids = {"apple_pay"}
    answer = await house.receive(letter())
    await house.until(PROCESSED, answer.webhook_event_id)
    asked = [request.event.processor_id for request in orchestrator.requests]
    assert asked == ["stripe", "apple_pay"]


async def test_an_event_without_a_payment_is_kept_and_applied_once_there_is_one(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    orchestrator.unknown_objects.add("pi_early")
    with capture_logs() as lines:
        answer = await house.receive(letter(intent_event(intent_id="pi_early")))
        event = await house.until(UNMATCHED, answer.webhook_event_id)
    assert not event.HasField("processed_at")
    assert [line["log_level"] for line in lines if line["event"] == "webhook applied"] == [
        "warning"
    ]
    orchestrator.unknown_objects.clear()
    event = await house.until(PROCESSED, answer.webhook_event_id)
    assert event.payment_id == orchestrator.payment_id
    assert await house.rows("select from messaging.dead_letters") == []


async def test_an_event_without_a_payment_is_looked_at_ever_more_rarely() -> None:
    pauses = [pause_before_check(checks).total_seconds() for checks in range(1, 6)]
    assert pauses == [1, 2, 4, 8, 16]
    assert pause_before_check(1_000_000) == timedelta(days=1)


async def test_events_of_one_payment_are_applied_in_the_order_they_came(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    for number in range(20):
        await house.receive(letter(intent_event(event_id=f"evt_{number}", intent_id="pi_1")))
    await house.until_settled(20)
    assert list(orchestrator.applied) == [f"evt_{number}" for number in range(20)]


async def test_an_event_that_makes_no_sense_fails_at_once_and_says_why(house: House) -> None:
    answer = await house.receive(letter(intent_event(data={"object": {"id": "pi_1"}})))
    broken = await house.receive(letter(intent_event(data={"object": {"object": "charge"}})))
    event = await house.until(IGNORED, broken.webhook_event_id)
    bad = intent_event()
    bad["data"]["object"]["amount_received"] = "many"
    answer = await house.receive(letter(bad))
    event = await house.until(FAILED, answer.webhook_event_id)
    assert event.attempt_count == 1
    assert "BODY_MALFORMED" in str(event.last_failure)
    (dead,) = await house.rows("select consumer, attempts from messaging.dead_letters")
    assert tuple(dead) == ("webhooks.events", 1)


async def test_what_an_outage_outlasts_is_put_off_and_not_given_up(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    orchestrator.trouble = [Unavailable("down")]
    answer = await house.receive(letter())

    async def is_put_off() -> bool:
        (row,) = await house.rows("select due_at, state from webhooks.webhook_events")
        return row["due_at"] is not None and row["state"] == "pending"

    await eventually(is_put_off)
    assert await house.rows("select from messaging.dead_letters") == []
    orchestrator.trouble = []
    await house.rows("update webhooks.webhook_events set due_at = now()")
    await house.until(PROCESSED, answer.webhook_event_id)


async def test_what_fails_every_time_is_given_up_and_can_be_replayed(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    orchestrator.trouble = [Internal("broken")]
    answer = await house.receive(letter())
    event = await house.until(FAILED, answer.webhook_event_id)
    assert event.attempt_count == 3
    assert event.last_failure.message
    orchestrator.trouble = []
    request = pb.ReplayWebhookEventsRequest(idempotency_key="again", failed_only=True)
    request.range.SetInParent()
    assert (await house.stub.ReplayWebhookEvents(request)).replayed_count == 1
    event = await house.until(PROCESSED, answer.webhook_event_id)
    assert not event.HasField("last_failure")
    (dead,) = await house.rows("select replayed_at from messaging.dead_letters")
    assert dead["replayed_at"] is not None
    # A repeat is told the same, though nothing has failed by now.
    assert (await house.stub.ReplayWebhookEvents(request)).replayed_count == 1


async def test_one_event_is_replayed_and_tells_nothing_new(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    answer = await house.receive(letter(intent_event(event_id="evt_twice")))
    other = await house.receive(letter())
    await house.until_settled(2)
    request = pb.ReplayWebhookEventsRequest(idempotency_key="one")
    request.ids.webhook_event_ids.append(answer.webhook_event_id)
    assert (await house.stub.ReplayWebhookEvents(request)).replayed_count == 1

    async def is_told_again() -> bool:
        return orchestrator.told["evt_twice"] == 2

    await eventually(is_told_again)
    event = await house.until(PROCESSED, answer.webhook_event_id)
    assert event.attempt_count == 2
    assert orchestrator.applied["evt_twice"] == 1
    assert (await house.event(other.webhook_event_id)).attempt_count == 1


async def test_a_range_is_replayed(house: House, orchestrator: StandInOrchestrator) -> None:
    for number in range(4):
        await house.receive(letter(intent_event(event_id=f"evt_r{number}")))
    await house.until_settled(4)
    middle = (await house.event("evt_r1")).created_at, (await house.event("evt_r3")).created_at
    request = pb.ReplayWebhookEventsRequest(idempotency_key="range")
    request.range.created_from.CopyFrom(middle[0])
    request.range.created_before.CopyFrom(middle[1])
    assert (await house.stub.ReplayWebhookEvents(request)).replayed_count == 2

    async def are_told_again() -> bool:
        return [orchestrator.told[f"evt_r{number}"] for number in range(4)] == [1, 2, 2, 1]

    await eventually(are_told_again)


async def test_a_key_stands_for_one_replay(house: House) -> None:
    request = pb.ReplayWebhookEventsRequest(idempotency_key="key", failed_only=True)
    request.range.SetInParent()
    await house.stub.ReplayWebhookEvents(request)
    request.failed_only = False
    with pytest.raises(Conflict) as refused, typed_errors():
        await house.stub.ReplayWebhookEvents(request)
    assert refused.value.reason is Reason.IDEMPOTENCY_KEY_REUSED


@pytest.mark.parametrize(
    "request_",
    [
        pb.ReplayWebhookEventsRequest(idempotency_key="k"),
        pb.ReplayWebhookEventsRequest(idempotency_key="k", ids=pb.WebhookEventIds()),
        pb.ReplayWebhookEventsRequest(range=pb.WebhookEventRange()),
        pb.ReplayWebhookEventsRequest(idempotency_key="k\x00", range=pb.WebhookEventRange()),
        pb.ReplayWebhookEventsRequest(
            idempotency_key="k", ids=pb.WebhookEventIds(webhook_event_ids=["evt_1"])
        ),
    ],
)
async def test_a_replay_that_says_too_little_is_refused(
    house: House, request_: pb.ReplayWebhookEventsRequest
) -> None:
    with pytest.raises(InvalidArgument), typed_errors():
        await house.stub.ReplayWebhookEvents(request_)


async def test_status_and_lists_tell_what_waits_and_what_failed(
    house: House, orchestrator: StandInOrchestrator
) -> None:
    orchestrator.unknown_objects.add("pi_nobody")
    stray = await house.receive(letter(intent_event(intent_id="pi_nobody")))
    ours = [await house.receive(letter()) for _ in range(3)]
    await house.until_settled(3)
    await house.until(UNMATCHED, stray.webhook_event_id)
    status = await house.stub.GetWebhookStatus(pb.GetWebhookStatusRequest())
    counts = {State.Name(count.state): count.count for count in status.counts}
    assert counts["WEBHOOK_EVENT_STATE_PROCESSED"] == 3
    assert counts["WEBHOOK_EVENT_STATE_UNMATCHED"] == 1
    assert not status.HasField("oldest_pending_age")
    listed = await house.stub.ListWebhookEvents(pb.ListWebhookEventsRequest(states=[UNMATCHED]))
    assert [event.id for event in listed.events] == [stray.webhook_event_id]
    request = pb.ListWebhookEventsRequest(page_size=2, payment_id=orchestrator.payment_id)
    first = await house.stub.ListWebhookEvents(request)
    request.page_token = first.next_page_token
    second = await house.stub.ListWebhookEvents(request)
    found = [event.id for event in (*first.events, *second.events)]
    assert found == [answer.webhook_event_id for answer in reversed(ours)]
    assert all(not event.raw_body for event in first.events)
    assert not second.next_page_token


async def test_what_no_event_can_be_called_by_is_refused_or_unknown(house: House) -> None:
    with pytest.raises(NotFound), typed_errors():
        await house.stub.GetWebhookEvent(pb.GetWebhookEventRequest(webhook_event_id="a\0b"))
    for request in (
        pb.ListWebhookEventsRequest(event_type="a\0b"),
        pb.ListWebhookEventsRequest(processor_id="a\0b"),
    ):
        with pytest.raises(InvalidArgument), typed_errors():
            await house.stub.ListWebhookEvents(request)
    with pytest.raises(InvalidArgument), typed_errors():
        await house.stub.GetWebhookStatus(pb.GetWebhookStatusRequest(processor_id="a\0b"))


async def test_a_key_that_holds_a_card_number_is_refused(house: House) -> None:
    chosen = pb.WebhookEventIds(webhook_event_ids=["whe_019aa5a0000070008000000000000001"])
    request = pb.ReplayWebhookEventsRequest(idempotency_key="4242424242424242", ids=chosen)
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.stub.ReplayWebhookEvents(request)
    assert refused.value.reason is Reason.CARD_NUMBER_PRESENT


async def test_the_backlog_is_shown(application_url: str) -> None:
    deaf = StandInOrchestrator()  # type: ignore[abstract]  # it answers one call alone
    async with running_house(application_url, deaf, manner=Manner(applies=False)) as house:
        await house.receive(letter())

        async def is_shown() -> bool:
            return house.counted("webhooks_backlog", {"state": "pending"}) == 1

        await eventually(is_shown)
        assert house.counted("webhooks_oldest_pending_age_seconds") > 0
        status = await house.stub.GetWebhookStatus(pb.GetWebhookStatusRequest())
        assert status.HasField("oldest_pending_age")


async def test_two_processes_apply_each_event_once(
    application_url: str, orchestrator: StandInOrchestrator
) -> None:
    async with (
        running_house(application_url, orchestrator) as one,
        running_house(application_url, orchestrator) as two,
    ):
        events = [letter(intent_event(intent_id=f"pi_{number}")) for number in range(60)]
        await asyncio.gather(*(house.receive(sent) for sent in events for house in (one, two)))
        await one.until_settled(60)
        assert set(orchestrator.applied.values()) == {1}
        assert len(orchestrator.applied) == 60
