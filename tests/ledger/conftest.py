"""A ledger on a database of the test's own, behind the same door as in production."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)

from services.kernel.clock import SystemClock
from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.runtime.database import Connection, Database
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry


@dataclass(frozen=True)
class LedgerUnderTest:
    """The rooms of one ledger, for tests that look into them."""

    database: Database
    journal: Journal
    seals: Seals
    stub: LedgerServiceStub

    async def count(self, statement: str, *values: object) -> int:
        async with self.database.connection() as connection:
            return int(await connection.fetchval(statement, *values))


@asynccontextmanager
async def open_ledger(application_url: str) -> AsyncIterator[LedgerUnderTest]:
    """A process's own ledger; it knows nothing of what another has seen."""
    database = await Database.connect(application_url, application_name="ledger under test")
    journal = Journal(database, event_payload, SystemClock())
    seals = Seals(database, block_size=5)
    registry = Registry(Middleware(Telemetry.create("test")))
    registry.register(
        add_LedgerServiceServicer_to_server,
        LedgerServicer(Ledger(journal, seals)),
    )
    async with connect_in_process(registry) as channel:
        yield LedgerUnderTest(database, journal, seals, LedgerServiceStub(channel))
    await journal.close()
    await database.close()


@pytest.fixture
async def ledger(application_url: str) -> AsyncIterator[LedgerUnderTest]:
    async with open_ledger(application_url) as opened:
        yield opened


@pytest.fixture
async def intruder(owner_url: str) -> AsyncIterator[Connection]:
    """The owner, who has switched every trigger off."""
    connection = await asyncpg.connect(owner_url)
    for table in ("ledger_transactions", "ledger_entries", "blocks"):
        await connection.execute(f"alter table ledger.{table} disable trigger all")
    yield connection
    await connection.close()
