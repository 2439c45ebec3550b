"""Access on a database of the test's own, behind both doors of production."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from grpc.aio import Channel
from payments.access.v1.access_service_pb2_grpc import (
    AccessServiceStub,
    add_AccessServiceServicer_to_server,
)

from services.access.domain.secret import Pepper
from services.access.rpc import AccessServicer
from services.access.service.authentication import Authenticator
from services.access.service.keys import Keys
from services.access.service.merchants import Merchants
from services.access.store.credentials import StoredCredentials
from services.access.store.keys import StoredKeys
from services.access.store.merchants import StoredMerchants
from services.access.workers import ChangeFeed, noting_uses
from services.kernel.clock import Clock, SystemClock
from services.runtime.database import Database
from services.runtime.rpc import GrpcServer, Middleware, Registry, connect, connect_in_process
from services.runtime.telemetry import Telemetry

PEPPER = Pepper(b"the pepper of one test run, and no other")
TOKEN = "a token for the callers of one test alone"  # noqa: S105 -- as it says


@dataclass(frozen=True)
class AccessUnderTest:
    """One process that knows who callers are."""

    database: Database
    authenticator: Authenticator
    registry: Registry
    stub: AccessServiceStub


@asynccontextmanager
async def running_access(
    application_url: str, *, clock: Clock | None = None, pepper: Pepper = PEPPER
) -> AsyncIterator[AccessUnderTest]:
    clock = clock or SystemClock()
    database = await Database.connect(application_url, application_name="access under test")
    stored_keys = StoredKeys(database, pepper)
    authenticator = Authenticator(StoredCredentials(database), pepper, clock)
    registry = Registry(Middleware(Telemetry.create("test"), token=TOKEN))
    servicer = AccessServicer(
        Merchants(StoredMerchants(database), clock),
        Keys(stored_keys, pepper, clock),
        authenticator,
    )
    registry.register(add_AccessServiceServicer_to_server, servicer)
    async with (
        ChangeFeed(database, authenticator, clock),
        noting_uses(authenticator),
        connect_in_process(registry) as channel,
    ):
        yield AccessUnderTest(database, authenticator, registry, AccessServiceStub(channel))
    await database.close()


@asynccontextmanager
async def over_the_network(access: AccessUnderTest) -> AsyncIterator[AccessServiceStub]:
    """The same service behind a port."""
    server = GrpcServer(access.registry)
    port = await server.start("127.0.0.1:0")
    channel: Channel
    async with connect(f"127.0.0.1:{port}", token=TOKEN) as channel:
        yield AccessServiceStub(channel)
    await server.stop(grace_seconds=1)


@pytest.fixture
async def access(application_url: str) -> AsyncIterator[AccessUnderTest]:
    async with running_access(application_url) as access:
        yield access
