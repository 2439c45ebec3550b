"""The composition root: builds any set of services in one process and hands out their stubs.

Each service is opened by one function below, which says in one place what it is made of. Nothing
else constructs a store, a servicer or a worker.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Final

from grpc.aio import Channel
from payments.events.v1.messaging_service_pb2_grpc import add_MessagingServiceServicer_to_server
from payments.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.kernel.clock import Clock, SystemClock
from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.ledger.workers import sealer
from services.runtime.database import Database
from services.runtime.database_reach import reach
from services.runtime.database_roles import assert_application_login
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.messaging.process import Messaging, open_messaging
from services.runtime.messaging.rpc import MessagingServicer
from services.runtime.migrate import assert_migrated, migrate
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.settings import Settings
from services.runtime.startup import StartupError
from services.runtime.telemetry import Telemetry


@dataclass(frozen=True)
class System:
    """What the services of a process share, and the channel on which they meet."""

    settings: Settings
    clock: Clock
    database_url: str
    database: Database
    telemetry: Telemetry
    messaging: Messaging
    registry: Registry
    channel: Channel
    token: str
    """What callers from outside the process show."""


@asynccontextmanager
async def _open_ledger(system: System) -> AsyncIterator[None]:
    journal = Journal(system.database, event_payload, system.clock)
    seals = Seals(system.database)
    await seals.check_settled()
    system.registry.register(
        add_LedgerServiceServicer_to_server,
        LedgerServicer(Ledger(journal, seals, system.clock)),
    )
    async with sealer(seals):
        yield
    await journal.close()


@asynccontextmanager
async def _open_messaging(system: System) -> AsyncIterator[None]:
    system.registry.register(
        add_MessagingServiceServicer_to_server, MessagingServicer(system.database)
    )
    async with system.messaging.relaying(system.clock):
        yield


Opener = Callable[[System], AbstractAsyncContextManager[None]]

SERVICES: Final[Mapping[str, Opener]] = {
    "ledger": _open_ledger,
    "messaging": _open_messaging,
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
            database_url=url,
            database=database,
            telemetry=telemetry,
            messaging=await stack.enter_async_context(
                open_messaging(settings, database, telemetry)
            ),
            registry=registry,
            channel=await stack.enter_async_context(connect_in_process(registry)),
            token=token,
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
    connection = await reach(url, setting="DATABASE_URL", application_name="switchyard")
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
