"""An orchestrator with the real router and ledger behind it, on a database of the test's own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.events.v1.envelope_pb2 import Envelope
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from payments.orchestrator.v1.orchestrator_service_pb2 import ExecutePlanRequest, GetPaymentRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceServicer
from payments.router.v1.router_service_pb2_grpc import RouterServiceServicer

from services.kernel.clock import Clock, SystemClock
from services.kernel.context import PaymentMethod
from services.orchestrator.clients import Configs
from services.orchestrator.service.desks import Desks
from services.orchestrator.service.posting import Poster
from services.orchestrator.store.payments import Payments
from services.orchestrator.workers import Confirmations, PosterLoop, Recovery, policy_watch
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.rpc import ProcessorServicer
from services.processor.service.processors import Processors
from services.runtime.database import Database, Record
from services.runtime.messaging.consumer import RetryPolicy
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.process import Messaging
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.orchestrator.building import (
    Ground,
    Rooms,
    StandInPlanner,
    add_router,
    neighbours,
    orchestrator,
)
from tests.orchestrator.policies import StandInConfigs
from tests.plan_builder.orders import MERCHANT
from tests.processor.conftest import ScriptedFaults, processor
from tests.stand_in_processors import StandInProcessors


@dataclass
class House:
    """The services of one process, and what tests look at."""

    database: Database
    registry: Registry
    stub: OrchestratorServiceStub
    poster: Poster
    writer: Payments
    planner: StandInPlanner
    configs: StandInConfigs
    policies: Configs
    desks: Desks
    calls: list[str] = field(default_factory=list)
    """What the processors were asked, by the name of the method."""

    async def configure(self, settings: MerchantSettings) -> None:
        """Give all merchants a configuration, and wait until it is known here."""
        await self.configs.put(settings)
        while True:
            if (await self.policies.policy(MERCHANT)).config_version == self.configs.version:
                return
            await asyncio.sleep(0.01)

    async def execute(self, request: ExecutePlanRequest) -> Payment:
        return (await self.stub.ExecutePlan(request)).payment

    async def get(self, payment_id: str) -> Payment:
        return (await self.stub.GetPayment(GetPaymentRequest(payment_id=payment_id))).payment

    async def until(self, payment_id: str, done: Callable[[Payment], bool]) -> Payment:
        """The payment once it has come that far."""
        async with asyncio.timeout(90):
            while True:
                payment = await self.get(payment_id)
                if done(payment):
                    return payment
                await asyncio.sleep(0.02)

    async def rows(self, statement: str, *values: object) -> list[Record]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def count(self, table: str) -> int:
        (row,) = await self.rows(f"select count(*) from payments.{table}")
        return int(row[0])

    async def told(self) -> list[Envelope]:
        """Every event of a payment, in order."""
        rows = await self.rows(
            "select payload from messaging.outbox where type <> 'LedgerPosted' order by position"
        )
        return [Envelope.FromString(row["payload"]) for row in rows]

    async def ledger_sums(self) -> dict[str, int]:
        rows = await self.rows(
            "select account, sum(amount)::bigint as total from ledger.ledger_entries group by 1"
        )
        return {row["account"]: row["total"] for row in rows}


@asynccontextmanager
async def running_house(
    application_url: str,
    processors: ProcessorServiceServicer,
    *,
    books: bool = True,
    recovers: bool = True,
    router: RouterServiceServicer | None = None,
    ledger: LedgerServiceServicer | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[House]:
    """One process with everything that a payment needs.

    `books` is whether its poster runs, `recovers` whether it looks for what nobody drives.
    """
    database = await Database.connect(application_url, application_name="house under test")
    clock = clock or SystemClock()
    telemetry = Telemetry.create("test")
    registry = Registry(Middleware(telemetry))
    ground = Ground(database, registry, telemetry, clock)
    others = neighbours(ground, processors, ledger)
    async with connect_in_process(registry) as channel:
        add_router(ground, channel, router)
        rooms = orchestrator(ground, channel)
        async with _at_work(ground, rooms, books=books, recovers=recovers):
            yield House(
                database,
                registry,
                OrchestratorServiceStub(channel),
                rooms.poster,
                rooms.payments,
                others.planner,
                others.configs,
                rooms.policies,
                rooms.desks,
                others.calls,
            )
        rooms.callers.dismiss()
    await rooms.payments.close()
    await others.journal.close()
    await database.close()


@asynccontextmanager
async def _at_work(
    ground: Ground, rooms: Rooms, *, books: bool, recovers: bool
) -> AsyncIterator[None]:
    """The loops of one process."""
    database, telemetry, clock = ground.database, ground.telemetry, ground.clock
    recovery = Recovery(rooms.payments, rooms.desks, clock)
    messaging = Messaging(
        database,
        PostgresBus(database),
        retry=RetryPolicy(),
        metrics=MessagingMetrics(telemetry.registry),
        tracing=telemetry.tracing,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(rooms.tasks.close, recovery.leave)
        await stack.enter_async_context(policy_watch(rooms.policies))
        if books:
            await stack.enter_async_context(PosterLoop(rooms.poster, rooms.postings))
        if recovers:
            await stack.enter_async_context(recovery.running())
            confirmations = Confirmations(rooms.payments, rooms.desks)
            await stack.enter_async_context(messaging.consuming(confirmations.consumer()))
            await stack.enter_async_context(messaging.relaying(clock))
        yield


def simulated(faults: ScriptedFaults | None = None) -> ProcessorServiceServicer:
    """The real ProcessorService with its simulated adapter."""
    adapter = SimulatedAdapter(SystemClock(), faults or ScriptedFaults())
    one = processor("simulated", adapter, methods=tuple(PaymentMethod))
    return ProcessorServicer(Processors([one], SystemClock()))


@pytest.fixture
async def house(application_url: str) -> AsyncIterator[House]:
    """A house whose processor is the simulated one."""
    async with running_house(application_url, simulated()) as house:
        yield house


@dataclass
class ScriptedHouse:
    """A house whose processors answer what a test wrote down, and whose poster waits."""

    house: House
    processors: StandInProcessors


@pytest.fixture
async def scripted(application_url: str) -> AsyncIterator[ScriptedHouse]:
    processors = StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events
    async with running_house(application_url, processors, books=False) as house:
        yield ScriptedHouse(house, processors)


def kinds(calls: list[str]) -> dict[str, int]:
    return dict(Counter(calls))
