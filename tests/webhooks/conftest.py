"""Webhooks on a database of the test's own, with a stand-in orchestrator and a real processor."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceServicer,
    OrchestratorServiceStub,
    add_OrchestratorServiceServicer_to_server,
)
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_event_pb2 import WebhookEvent, WebhookEventState
from payments.webhooks.v1.webhook_service_pb2_grpc import (
    WebhookServiceStub,
    add_WebhookServiceServicer_to_server,
)
from prometheus_client import CollectorRegistry

from services.kernel.clock import Clock, SystemClock
from services.processor.rpc import ProcessorServicer
from services.processor.service.processors import Processors
from services.runtime.crash_points import reach
from services.runtime.database import Database, Record
from services.runtime.messaging.consumer import RetryPolicy
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.process import Messaging
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.settings import load_settings
from services.runtime.telemetry import Telemetry
from services.webhooks.clients import Lists, Teller
from services.webhooks.configuration import open_keyring
from services.webhooks.metrics import WebhookMetrics
from services.webhooks.rpc import WebhookServicer
from services.webhooks.service.applying import Applying
from services.webhooks.service.comparing import Comparing
from services.webhooks.service.gaps import Gaps
from services.webhooks.service.inquiry import Inquiry
from services.webhooks.service.receiving import Receiving
from services.webhooks.service.traffic import Traffic
from services.webhooks.store.events import Events
from services.webhooks.store.replays import Replays
from services.webhooks.store.tally import Tally
from services.webhooks.translate.applying import command_payload
from services.webhooks.workers import Application, comparing_lists, counting, looking_again
from tests.processor.conftest import opened
from tests.webhooks.letters import SECRET, Letter
from tests.webhooks.stand_in_orchestrator import StandInOrchestrator

Found = TypeVar("Found")

PATIENCE_SECONDS = 60.0
TOKEN = "a token for the callers of one test alone"  # noqa: S105 -- as it says
_TRIES = 3


@dataclass
class House:
    """One process that receives webhooks, and what tests look at."""

    database: Database
    registry: Registry
    stub: WebhookServiceStub
    messaging: Messaging
    metrics: CollectorRegistry

    async def receive(self, letter: Letter) -> pb.ReceiveWebhookResponse:
        return await self.stub.ReceiveWebhook(
            pb.ReceiveWebhookRequest(
                idempotency_key="delivery",
                adapter="stripe",
                body=letter.body,
                signature_header=letter.header,
            )
        )

    async def event(self, event_id: str) -> WebhookEvent:
        request = pb.GetWebhookEventRequest(webhook_event_id=event_id)
        return (await self.stub.GetWebhookEvent(request)).event

    async def rows(self, statement: str, *values: object) -> list[Record]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def states(self) -> dict[str, int]:
        rows = await self.rows(
            "select state, count(*) as n from webhooks.webhook_events group by state"
        )
        return {row["state"]: row["n"] for row in rows}

    async def until(self, state: WebhookEventState.ValueType, event_id: str) -> WebhookEvent:
        """The event, once it is in this state."""

        async def reached() -> WebhookEvent | None:
            event = await self.event(event_id)
            return event if event.state == state else None

        return await eventually(reached)

    async def until_settled(self, count: int) -> None:
        """Until so many events are processed."""

        async def reached() -> bool:
            return (await self.states()).get("processed", 0) >= count

        await eventually(reached)

    def counted(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        return self.metrics.get_sample_value(name, dict(labels or {})) or 0.0


async def eventually(look: Callable[[], Awaitable[Found | None]]) -> Found:
    """What a look answers when it first answers something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := await look()):
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.02)
    return found


@dataclass(frozen=True)
class Manner:
    """How a house under test differs from one in production."""

    secrets: str = SECRET
    processors_file: Path | None = None
    applies: bool = True
    looks_again: bool = True
    compares: bool = False
    relays: bool = True
    grace: timedelta = timedelta(0)
    interval: timedelta = timedelta(milliseconds=200)


@asynccontextmanager
async def running_house(
    application_url: str,
    orchestrator: OrchestratorServiceServicer,
    processors: Processors | None = None,
    *,
    manner: Manner = Manner(),
    clock: Clock | None = None,
) -> AsyncIterator[House]:
    """One process that receives webhooks, applies and compares them as a test wants."""
    clock = clock or SystemClock()
    database = await Database.connect(application_url, application_name="webhooks under test")
    telemetry = Telemetry.create("test")
    registry = Registry(Middleware(telemetry, token=TOKEN))
    registry.register(add_OrchestratorServiceServicer_to_server, orchestrator)
    processors = processors or nowhere()
    registry.register(add_ProcessorServiceServicer_to_server, ProcessorServicer(processors))
    keyring = open_keyring(
        load_settings(processors_file=manner.processors_file),
        clock,
        {"STRIPE_WEBHOOK_SECRET": manner.secrets},
    )
    metrics = WebhookMetrics(telemetry.registry)
    events, tally = Events(database, command_payload), Tally(database)
    traffic = Traffic()
    messaging = Messaging(
        database,
        PostgresBus(database),
        retry=RetryPolicy(tries=_TRIES, first_pause=timedelta(milliseconds=50)),
        metrics=MessagingMetrics(telemetry.registry),
        tracing=telemetry.tracing,
    )
    async with connect_in_process(registry) as channel, AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        stack.push_async_callback(events.close)
        stack.push_async_callback(processors.close)
        processor_stub = ProcessorServiceStub(channel)
        comparing = Comparing(
            Lists(processor_stub),
            tally,
            events,
            clock,
            interval=manner.interval,
            grace=manner.grace,
        )
        replays = Replays(database, command_payload)
        registry.register(
            add_WebhookServiceServicer_to_server,
            WebhookServicer(
                Receiving(keyring, events, clock, metrics, traffic=traffic, reach=reach),
                Inquiry(events, tally, replays),
                Gaps(comparing, keyring, replays, clock),
            ),
        )
        teller = Teller(processor_stub, OrchestratorServiceStub(channel))
        applying = Applying(teller, keyring, clock, metrics, traffic=traffic)
        application = Application(events, applying, tries=_TRIES)
        if manner.applies:
            for consumer in application.consumers():
                await stack.enter_async_context(messaging.consuming(consumer))
        if manner.relays:
            await stack.enter_async_context(messaging.relaying(clock))
        if manner.looks_again:
            await stack.enter_async_context(looking_again(events))
        if manner.compares:
            await stack.enter_async_context(comparing_lists(comparing, keyring))
        await stack.enter_async_context(counting(tally, metrics, clock))
        yield House(database, registry, WebhookServiceStub(channel), messaging, telemetry.registry)


def nowhere() -> Processors:
    """Two processors of one Stripe account that cannot be reached; they can still read events."""
    url = "http://127.0.0.1:9"
    return Processors([opened("stripe", url), opened("apple_pay", url)], SystemClock())


@pytest.fixture
def orchestrator() -> StandInOrchestrator:
    return StandInOrchestrator()  # type: ignore[abstract]  # it answers one call alone


@pytest.fixture
async def house(application_url: str, orchestrator: StandInOrchestrator) -> AsyncIterator[House]:
    """A house that does all but compare lists."""
    async with running_house(application_url, orchestrator) as house:
        yield house
