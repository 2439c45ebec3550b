"""What the processor's list has and nobody delivered: noticed, named, measured and fetched."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_gap_pb2 import MissingEvent

from services.kernel.clock import SystemClock
from services.kernel.errors import InvalidArgument, NotFound, Reason
from services.processor.service.processors import Processors
from services.runtime.rpc import typed_errors
from services.webhooks.domain.gap import LONGEST_SPAN, OVERLAP, next_window
from tests.processor.conftest import opened
from tests.webhooks.conftest import House, Manner, eventually, running_house
from tests.webhooks.door import Outside, running_outside
from tests.webhooks.stand_in_orchestrator import StandInOrchestrator

_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async with running_outside(tmp_path) as outside:
        yield outside


def account(outside: Outside) -> Processors:
    return Processors([opened("stripe", outside.url)], SystemClock())


async def stored_ids(house: House, *, verified: bool) -> set[str]:
    rows = await house.rows(
        "select stripe_event_id from webhooks.webhook_events where signature_verified = $1",
        verified,
    )
    return {row["stripe_event_id"] for row in rows}


async def all_stored(house: House, wanted: set[str]) -> None:
    async def are_stored() -> bool:
        rows = await house.rows("select stripe_event_id from webhooks.webhook_events")
        return {row["stripe_event_id"] for row in rows} == wanted

    await eventually(are_stored)


async def missing(house: House, *, page_size: int = 100) -> list[MissingEvent]:
    request = pb.ListMissingEventsRequest(page_size=page_size)
    found: list[MissingEvent] = []
    while True:
        page = await house.stub.ListMissingEvents(request)
        assert len(page.events) <= page_size
        found += page.events
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_what_the_network_lost_is_found_and_healed(
    application_url: str, outside: Outside, orchestrator: StandInOrchestrator
) -> None:
    manner = Manner(compares=True, grace=timedelta(seconds=1))
    async with running_house(
        application_url, orchestrator, account(outside), manner=manner
    ) as house:
        outside.door.take = house.receive
        await outside.mischief(drop=0.5, duplicate=0.3, delay_max_ms=300, shuffle=5)
        intents = await outside.pay(12)
        everything = await outside.event_ids()
        await all_stored(house, everything)
        fetched = await stored_ids(house, verified=False)
        assert 0 < len(fetched) < len(everything)

        async def are_settled() -> bool:
            return set(await house.states()) == {"processed", "ignored"}

        await eventually(are_settled)
        assert len(orchestrator.applied) == len(intents)
        assert set(orchestrator.applied.values()) == {1}


async def test_what_is_missing_is_measured_until_it_is_there(
    application_url: str, outside: Outside, orchestrator: StandInOrchestrator
) -> None:
    await outside.mischief(drop=1)
    await outside.pay()
    manner = Manner(compares=True, grace=timedelta(seconds=8))
    async with running_house(
        application_url, orchestrator, account(outside), manner=manner
    ) as house:

        async def is_measured() -> bool:
            return house.counted("webhooks_oldest_missing_age_seconds") > 0

        async def is_healed() -> bool:
            return house.counted("webhooks_oldest_missing_age_seconds") == 0

        await eventually(is_measured)
        status = await house.stub.GetWebhookStatus(pb.GetWebhookStatusRequest())
        assert status.oldest_missing.processor_event_id in await outside.event_ids()
        await all_stored(house, await outside.event_ids())
        await eventually(is_healed)
        status = await house.stub.GetWebhookStatus(pb.GetWebhookStatusRequest())
        assert not status.HasField("oldest_missing")
        assert status.HasField("compared_through")


async def test_what_is_late_is_waited_for(
    application_url: str, outside: Outside, orchestrator: StandInOrchestrator
) -> None:
    await outside.mischief(delay_min_ms=1_500, delay_max_ms=1_500)
    manner = Manner(compares=True, grace=timedelta(minutes=5))
    async with running_house(
        application_url, orchestrator, account(outside), manner=manner
    ) as house:
        outside.door.take = house.receive
        await outside.pay(2)
        await all_stored(house, await outside.event_ids())
        assert await stored_ids(house, verified=False) == set()


async def test_what_is_missing_is_named_page_by_page_and_fetched_on_demand(
    application_url: str, outside: Outside, orchestrator: StandInOrchestrator
) -> None:
    async with running_house(application_url, orchestrator, account(outside)) as house:
        outside.door.take = house.receive
        await outside.pay(2)
        await all_stored(house, await outside.event_ids())
        await outside.mischief(drop=1)
        told = await outside.event_ids()
        await outside.pay(3)
        lost = await outside.event_ids() - told
        named = await missing(house, page_size=4)
        assert {event.processor_event_id for event in named} == lost
        assert len(named) == len(lost)
        moments = [event.occurred_at.ToDatetime() for event in named]
        assert moments == sorted(moments)
        request = pb.BackfillEventsRequest(idempotency_key="fetch")
        assert (await house.stub.BackfillEvents(request)).stored_count == len(lost)
        assert await missing(house) == []
        assert await stored_ids(house, verified=False) == lost
        # A repeat is told the same; under another key there is nothing left.
        assert (await house.stub.BackfillEvents(request)).stored_count == len(lost)
        request.idempotency_key = "again"
        assert (await house.stub.BackfillEvents(request)).stored_count == 0


async def test_a_delivery_that_comes_after_its_fetching_is_a_repeat(
    application_url: str, outside: Outside, orchestrator: StandInOrchestrator
) -> None:
    async with running_house(application_url, orchestrator, account(outside)) as house:
        outside.door.take = house.receive
        await outside.mischief(paused=True)
        await outside.pay()
        events = await outside.event_ids()
        await house.stub.BackfillEvents(pb.BackfillEventsRequest(idempotency_key="early"))
        await outside.mischief()

        async def are_delivered() -> bool:
            return len(outside.door.answers) >= len(events)

        await eventually(are_delivered)
        assert set(outside.door.answers) == {200}
        assert await stored_ids(house, verified=True) == set()
        await house.until_settled(1)
        assert set(orchestrator.applied.values()) == {1}


async def test_a_processor_that_cannot_be_asked_is_asked_again(
    application_url: str, orchestrator: StandInOrchestrator
) -> None:
    manner = Manner(compares=True)
    async with running_house(application_url, orchestrator, manner=manner) as house:

        async def is_begun() -> bool:
            return bool(await house.rows("select from webhooks.comparisons"))

        await eventually(is_begun)
        await asyncio.sleep(0.5)
        (row,) = await house.rows("select * from webhooks.comparisons")
        assert (row["seen_through"], row["compared_at"]) == (None, None)


async def test_an_account_that_tells_nothing_is_not_compared(
    application_url: str, orchestrator: StandInOrchestrator
) -> None:
    async with running_house(application_url, orchestrator) as house:
        request = pb.ListMissingEventsRequest(processor_id="simulated")
        with pytest.raises(NotFound) as refused, typed_errors():
            await house.stub.ListMissingEvents(request)
        assert refused.value.reason is Reason.PROCESSOR_NOT_FOUND


async def test_a_page_token_of_another_list_is_refused(
    application_url: str, orchestrator: StandInOrchestrator
) -> None:
    async with running_house(application_url, orchestrator) as house:
        request = pb.ListMissingEventsRequest(page_token="bm9uZQ")  # noqa: S106 -- no secret
        with pytest.raises(InvalidArgument), typed_errors():
            await house.stub.ListMissingEvents(request)


def test_history_is_compared_a_span_at_a_time_and_the_present_without_end() -> None:
    long_ago = _NOW - timedelta(days=3)
    window = next_window(long_ago, LONGEST_SPAN, _NOW)
    assert window.occurred_from == long_ago - OVERLAP
    assert window.occurred_before == long_ago + LONGEST_SPAN
    assert next_window(_NOW - timedelta(minutes=2), LONGEST_SPAN, _NOW).occurred_before is None
    assert next_window(None, LONGEST_SPAN, _NOW).occurred_before is None
