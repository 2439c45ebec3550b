"""The webhooks: what processors tell, kept, applied, and compared with their lists."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub
from payments.webhooks.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server

from services.runtime.crash_points import reach
from services.system.shared import System
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


@asynccontextmanager
async def open_webhooks(system: System) -> AsyncIterator[None]:
    settings, clock, database = system.settings, system.clock, system.database
    processors = ProcessorServiceStub(await system.channel_to("processor"))
    orchestrator = OrchestratorServiceStub(await system.channel_to("orchestrator"))
    keyring = open_keyring(settings, clock)
    metrics = WebhookMetrics(system.telemetry.registry)
    events = Events(database, command_payload)
    tally, traffic = Tally(database), Traffic()
    comparing = Comparing(
        Lists(processors),
        tally,
        events,
        clock,
        interval=timedelta(seconds=settings.webhook_comparison_seconds),
        grace=timedelta(seconds=settings.webhook_grace_seconds),
    )
    replays = Replays(database, command_payload)
    servicer = WebhookServicer(
        Receiving(keyring, events, clock, metrics, traffic=traffic, reach=reach),
        Inquiry(events, tally, replays),
        Gaps(comparing, keyring, replays, clock),
    )
    system.registry.register(add_WebhookServiceServicer_to_server, servicer)
    teller = Teller(processors, orchestrator)
    applying = Applying(teller, keyring, clock, metrics, traffic=traffic)
    application = Application(events, applying, tries=settings.consumer_tries)
    try:
        async with AsyncExitStack() as stack:
            for consumer in application.consumers():
                await stack.enter_async_context(system.messaging.consuming(consumer))
            await stack.enter_async_context(looking_again(events))
            await stack.enter_async_context(comparing_lists(comparing, keyring))
            await stack.enter_async_context(counting(tally, metrics, clock))
            yield
    finally:
        await events.close()
