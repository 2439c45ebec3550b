"""The gateway in a process of its own: it needs no database, only the way to each service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from grpc.aio import Channel

from gateway.means import Services
from gateway.server import HttpServer, serve
from services.runtime.rpc import ClientTls, connect
from services.runtime.settings import Settings
from services.runtime.startup import StartupError
from services.runtime.telemetry.opening import open_telemetry

DRAIN_SECONDS: Final = 10.0


@asynccontextmanager
async def gateway_alone(settings: Settings) -> AsyncIterator[HttpServer]:
    """Answer HTTP with services of other processes, each where SERVICE_ADDRESSES has it."""
    if settings.grpc_token is None:
        raise StartupError("a gateway alone needs GRPC_TOKEN, the token of the services it calls")
    token = settings.grpc_token.get_secret_value()
    roots = settings.grpc_tls_roots
    tls = None if roots is None else ClientTls(roots)
    async with AsyncExitStack() as stack:

        async def channel_to(name: str) -> Channel:
            address = settings.addresses.get(name)
            if address is None:
                raise StartupError(
                    f"a gateway alone needs to know where {name} is: set"
                    f" SERVICE_ADDRESSES={name}=host:port"
                )
            return await stack.enter_async_context(connect(address, token=token, tls=tls))

        services = await Services.reached_by(channel_to)
        telemetry = open_telemetry("gateway", settings)
        stack.callback(telemetry.close)
        server = await serve(services, settings, telemetry)
        try:
            yield server
        finally:
            await server.stop(DRAIN_SECONDS)
