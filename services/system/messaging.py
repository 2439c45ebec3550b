"""The messaging of the process's database: the relay, and who answers about dead letters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.events.v1.messaging_service_pb2_grpc import add_MessagingServiceServicer_to_server

from services.runtime.messaging.rpc import MessagingServicer
from services.system.shared import System


@asynccontextmanager
async def open_relay(system: System) -> AsyncIterator[None]:
    system.registry.register(
        add_MessagingServiceServicer_to_server, MessagingServicer(system.database)
    )
    async with system.messaging.relaying(system.clock):
        yield
