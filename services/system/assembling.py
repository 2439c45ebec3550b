"""The whole: any set of services, opened in order in one process, and closed in reverse."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from secrets import token_urlsafe
from typing import Final

from services.kernel.clock import Clock, SystemClock
from services.runtime.messaging.process import open_messaging
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.settings import Settings
from services.runtime.startup import StartupError
from services.runtime.telemetry.opening import open_telemetry
from services.system.access import open_access
from services.system.database import checked_database, database_url
from services.system.ledger import open_ledger
from services.system.merchant_config import open_merchant_config
from services.system.messaging import open_relay
from services.system.orchestrator import open_orchestrator
from services.system.plan_builder import open_plan_builder
from services.system.processor import open_processor
from services.system.router import open_router
from services.system.shared import System
from services.system.webhooks import open_webhooks

Opener = Callable[[System], AbstractAsyncContextManager[None]]

SERVICES: Final[Mapping[str, Opener]] = {
    "ledger": open_ledger,
    "processor": open_processor,
    "merchant_config": open_merchant_config,
    "plan_builder": open_plan_builder,
    "router": open_router,
    "orchestrator": open_orchestrator,
    "webhooks": open_webhooks,
    "messaging": open_relay,
    "access": open_access,
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
        url = await stack.enter_async_context(database_url(settings))
        database = await stack.enter_async_context(checked_database(url))
        telemetry = open_telemetry("switchyard", settings)
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
