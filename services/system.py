"""The composition root: builds any set of services in one process and hands out their stubs.

Each service is opened by one function below, which says in one place what it is made of. Nothing
else constructs a store, a servicer or a worker.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe
from typing import Final

from grpc.aio import Channel
from payments.access.v1.access_service_pb2_grpc import add_AccessServiceServicer_to_server
from payments.config.v1.merchant_config_service_pb2_grpc import (
    MerchantConfigServiceStub,
    add_MerchantConfigServiceServicer_to_server,
)
from payments.events.v1.messaging_service_pb2_grpc import add_MessagingServiceServicer_to_server
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceStub,
    add_OrchestratorServiceServicer_to_server,
)
from payments.plan.v1.plan_builder_service_pb2_grpc import (
    PlanBuilderServiceStub,
    add_PlanBuilderServiceServicer_to_server,
)
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)
from payments.router.v1.router_service_pb2_grpc import (
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)
from payments.webhooks.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server

from services.access.configuration import open_pepper
from services.access.rpc import AccessServicer
from services.access.service.authentication import Authenticator
from services.access.service.keys import Keys
from services.access.service.merchants import Merchants
from services.access.store.credentials import StoredCredentials
from services.access.store.keys import StoredKeys
from services.access.store.merchants import StoredMerchants
from services.access.workers import ChangeFeed, noting_uses
from services.kernel.clock import Clock, SystemClock
from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.ledger.workers import sealer
from services.merchant_config.clients import ProcessorDirectory
from services.merchant_config.rpc import MerchantConfigServicer
from services.merchant_config.service import MerchantConfigs
from services.merchant_config.store import Versions
from services.merchant_config.translate.writing import SettingsJson
from services.merchant_config.workers import VersionFeed
from services.orchestrator.clients import Configs as PolicyConfigs
from services.orchestrator.clients import Ledger as BookingLedger
from services.orchestrator.clients import Planner
from services.orchestrator.clients import Router as OrderedRouter
from services.orchestrator.metrics import DoubtMetrics
from services.orchestrator.rpc import OrchestratorServicer
from services.orchestrator.service.desk import Means as DeskMeans
from services.orchestrator.service.desks import Callers, Desks
from services.orchestrator.service.enforcing import PaymentPolicyEnforcer
from services.orchestrator.service.hearing import ProcessorDoor
from services.orchestrator.service.orchestrator import Orchestrator
from services.orchestrator.service.posting import Poster
from services.orchestrator.service.reading import Reading
from services.orchestrator.store.archive import Archive
from services.orchestrator.store.payments import Payments
from services.orchestrator.store.policy import QuotaRows
from services.orchestrator.store.postings import Postings
from services.orchestrator.translate.codec import PaymentCodec, describe
from services.orchestrator.workers import (
    Confirmations,
    DoubtWatch,
    PosterLoop,
    Recovery,
    Tasks,
    policy_watch,
    quota_upkeep,
)
from services.plan_builder.clients import Configs as PlanConfigs
from services.plan_builder.clients import Processors as PlanProcessors
from services.plan_builder.rpc import PlanBuilderServicer
from services.plan_builder.service import PlanBuilder
from services.plan_builder.workers import config_watch
from services.processor.configuration import open_processors
from services.processor.rpc import ProcessorServicer
from services.processor.service import Processors
from services.router.clients import Processors as RoutedProcessors
from services.router.domain.breaker import CircuitBreakers
from services.router.metrics import BreakerCollector, RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.runtime.crash_points import reach
from services.runtime.database import Database
from services.runtime.database_reach import reach as reach_database
from services.runtime.database_roles import assert_application_login
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.messaging.process import Messaging, open_messaging
from services.runtime.messaging.rpc import MessagingServicer
from services.runtime.migrate import assert_migrated, migrate
from services.runtime.rpc import ClientTls, Middleware, Registry, connect, connect_in_process
from services.runtime.settings import Settings
from services.runtime.startup import StartupError
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
from services.webhooks.store.events import Events as WebhookEvents
from services.webhooks.store.replays import Replays
from services.webhooks.store.tally import Tally
from services.webhooks.translate import command_payload
from services.webhooks.workers import Application, comparing_lists, counting, looking_again


@dataclass(frozen=True)
class System:
    """What the services of a process share, and the channels on which they meet."""

    settings: Settings
    clock: Clock
    names: Sequence[str]
    database_url: str
    database: Database
    telemetry: Telemetry
    messaging: Messaging
    registry: Registry
    channel: Channel
    """To the services of this process."""
    token: str
    """What callers from outside the process show, and what it shows to others."""
    stack: AsyncExitStack

    async def channel_to(self, name: str) -> Channel:
        """To a service wherever it is: here, or at the address that is set for it."""
        if name in self.names:
            return self.channel
        address = self.settings.addresses.get(name)
        if address is None:
            raise StartupError(
                f"{name} is needed and not served here: serve it too, or say where it is with"
                f" SERVICE_ADDRESSES={name}=host:port"
            )
        roots = self.settings.grpc_tls_roots
        tls = None if roots is None else ClientTls(roots)
        return await self.stack.enter_async_context(connect(address, token=self.token, tls=tls))


@asynccontextmanager
async def _open_ledger(system: System) -> AsyncIterator[None]:
    journal = Journal(system.database, event_payload, system.clock)
    seals = Seals(system.database)
    await seals.check_settled()
    system.registry.register(
        add_LedgerServiceServicer_to_server,
        LedgerServicer(Ledger(journal, seals)),
    )
    try:
        async with sealer(seals):
            yield
    finally:
        await journal.close()


@asynccontextmanager
async def _open_messaging(system: System) -> AsyncIterator[None]:
    system.registry.register(
        add_MessagingServiceServicer_to_server, MessagingServicer(system.database)
    )
    async with system.messaging.relaying(system.clock):
        yield


@asynccontextmanager
async def _open_access(system: System) -> AsyncIterator[None]:
    pepper = open_pepper(system.settings)
    stored_keys = StoredKeys(system.database, pepper)
    await stored_keys.check_pepper()
    authenticator = Authenticator(StoredCredentials(system.database), pepper, system.clock)
    async with (
        ChangeFeed(system.database, authenticator, system.clock),
        noting_uses(authenticator),
    ):
        system.registry.register(
            add_AccessServiceServicer_to_server,
            AccessServicer(
                Merchants(StoredMerchants(system.database), system.clock),
                Keys(stored_keys, pepper, system.clock),
                authenticator,
            ),
        )
        yield


@asynccontextmanager
async def _open_processor(system: System) -> AsyncIterator[None]:
    processors = Processors(
        open_processors(system.settings, system.clock),
        system.clock,
        timeout=timedelta(seconds=system.settings.processor_timeout_seconds),
    )
    system.registry.register(add_ProcessorServiceServicer_to_server, ProcessorServicer(processors))
    try:
        yield
    finally:
        await processors.close()


@asynccontextmanager
async def _open_merchant_config(system: System) -> AsyncIterator[None]:
    text = SettingsJson()
    directory = ProcessorDirectory(ProcessorServiceStub(await system.channel_to("processor")))
    configs = MerchantConfigs(Versions(system.database, text), directory, text)
    async with VersionFeed(system.database) as feed:
        system.registry.register(
            add_MerchantConfigServiceServicer_to_server, MerchantConfigServicer(configs, feed)
        )
        yield


@asynccontextmanager
async def _open_plan_builder(system: System) -> AsyncIterator[None]:
    merchant_config = await system.channel_to("merchant_config")
    processor = await system.channel_to("processor")
    configs = PlanConfigs(MerchantConfigServiceStub(merchant_config), system.clock)
    catalogue = PlanProcessors(ProcessorServiceStub(processor), system.clock)
    system.registry.register(
        add_PlanBuilderServiceServicer_to_server,
        PlanBuilderServicer(PlanBuilder(configs, catalogue)),  # type: ignore[abstract]  # no replay
    )
    async with config_watch(configs):
        yield


@asynccontextmanager
async def _open_router(system: System) -> AsyncIterator[None]:
    metrics = RouterMetrics(system.telemetry.registry)
    breakers = CircuitBreakers(system.clock, log_transition)
    BreakerCollector(breakers, system.telemetry.registry)
    processors = RoutedProcessors(ProcessorServiceStub(await system.channel_to("processor")))
    router = Router(Means(processors, breakers, metrics, system.clock))
    system.registry.register(add_RouterServiceServicer_to_server, RouterServicer(router))
    yield


@asynccontextmanager
async def _open_orchestrator(system: System) -> AsyncIterator[None]:
    router = OrderedRouter(RouterServiceStub(await system.channel_to("router")))
    ledger = BookingLedger(LedgerServiceStub(await system.channel_to("ledger")))
    planner = Planner(PlanBuilderServiceStub(await system.channel_to("plan_builder")))
    merchant_config = MerchantConfigServiceStub(await system.channel_to("merchant_config"))
    policies = PolicyConfigs(merchant_config, system.clock)
    enforcer = PaymentPolicyEnforcer(policies)
    lease = timedelta(seconds=system.settings.lease_seconds)
    postings = Postings(system.database, lease=lease)
    payments = Payments(system.database, PaymentCodec(), postings, lease=lease)
    callers, tasks = Callers(), Tasks(system.telemetry.tracing)
    means = DeskMeans(
        payments, router, describe, system.clock, callers.tell, reach, enforcer.forbid
    )
    desks = Desks(means, tasks, callers)
    orchestrator = Orchestrator(payments, desks, planner, enforcer, system.clock)
    reading = Reading(payments, Archive(system.database, PaymentCodec()), ledger)
    door = ProcessorDoor(payments, desks, system.clock)
    servicer = OrchestratorServicer(orchestrator, reading, door)
    system.registry.register(add_OrchestratorServiceServicer_to_server, servicer)
    recovery = Recovery(payments, desks, system.clock, lease=lease)
    poster = Poster(postings, desks, ledger, system.clock, reach)
    confirmations = Confirmations(payments, desks).consumer()
    doubts = DoubtWatch(payments, DoubtMetrics(system.telemetry.registry), system.clock)
    try:
        async with PosterLoop(poster, postings):
            try:
                async with (
                    recovery.running(),
                    doubts.running(),
                    policy_watch(policies),
                    quota_upkeep(QuotaRows(system.database).forget_some),
                    system.messaging.consuming(confirmations),
                ):
                    yield
            finally:
                await tasks.close(recovery.leave)
                callers.dismiss()
    finally:
        await payments.close()


@asynccontextmanager
async def _open_webhooks(system: System) -> AsyncIterator[None]:
    settings, clock, database = system.settings, system.clock, system.database
    processors = ProcessorServiceStub(await system.channel_to("processor"))
    orchestrator = OrchestratorServiceStub(await system.channel_to("orchestrator"))
    keyring = open_keyring(settings, clock)
    metrics = WebhookMetrics(system.telemetry.registry)
    events = WebhookEvents(database, command_payload)
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


Opener = Callable[[System], AbstractAsyncContextManager[None]]

SERVICES: Final[Mapping[str, Opener]] = {
    "ledger": _open_ledger,
    "processor": _open_processor,
    "merchant_config": _open_merchant_config,
    "plan_builder": _open_plan_builder,
    "router": _open_router,
    "orchestrator": _open_orchestrator,
    "webhooks": _open_webhooks,
    "messaging": _open_messaging,
    "access": _open_access,
}
"""Every service by the name that `payment-cli serve` takes."""


@asynccontextmanager
async def open_system(
    settings: Settings,
    names: Sequence[str] = tuple(SERVICES),
    *,
    clock: Clock | None = None,
) -> AsyncIterator[System]:
    """Run services inside this program; their stubs are made from the system's channel.

    Without DATABASE_URL a PostgreSQL is started for them and migrated. Everything is checked before
    anything serves, and closed in the reverse order in the end.
    """
    unknown = sorted(set(names) - set(SERVICES))
    if unknown:
        known = ", ".join(SERVICES)
        raise StartupError(f"no service is called {', '.join(unknown)}: there are {known}")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_database_url(settings))
        database = await stack.enter_async_context(_checked_database(url))
        telemetry = Telemetry.create("switchyard", sample_ratio=settings.otel_traces_sampler_arg)
        stack.callback(telemetry.close)
        token = settings.grpc_token.get_secret_value() if settings.grpc_token else token_urlsafe(32)
        registry = Registry(Middleware(telemetry, token=token))
        system = System(
            settings=settings,
            clock=clock or SystemClock(),
            names=names,
            database_url=url,
            database=database,
            telemetry=telemetry,
            messaging=await stack.enter_async_context(
                open_messaging(settings, database, telemetry)
            ),
            registry=registry,
            channel=await stack.enter_async_context(connect_in_process(registry)),
            token=token,
            stack=stack,
        )
        for name in dict.fromkeys(names):
            await stack.enter_async_context(SERVICES[name](system))
        yield system


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncIterator[str]:
    """Where the application logs in: what was set, or a server of our own, migrated."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = await EmbeddedPostgres.start(settings.switchyard_home)
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        yield server.application_url
    finally:
        await server.stop()


@asynccontextmanager
async def _checked_database(url: str) -> AsyncIterator[Database]:
    """The database, once it is known to have this code's shape and to keep its own rules."""
    connection = await reach_database(url, setting="DATABASE_URL", application_name="switchyard")
    try:
        await assert_migrated(connection)
        await assert_application_login(connection)
    finally:
        await connection.close()
    database = await Database.connect(url, application_name="switchyard")
    try:
        yield database
    finally:
        await database.close()
