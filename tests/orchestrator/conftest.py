"""An orchestrator with the real router and ledger behind it, on a database of the test's own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.config.v1.merchant_config_service_pb2_grpc import (
    MerchantConfigServiceStub,
    add_MerchantConfigServiceServicer_to_server,
)
from payments.events.v1.envelope_pb2 import Envelope
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from payments.orchestrator.v1.orchestrator_service_pb2 import ExecutePlanRequest, GetPaymentRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceStub,
    add_OrchestratorServiceServicer_to_server,
)
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest, BuildPlanResponse
from payments.plan.v1.plan_builder_service_pb2_grpc import (
    PlanBuilderServiceServicer,
    PlanBuilderServiceStub,
    add_PlanBuilderServiceServicer_to_server,
)
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceServicer,
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)
from payments.router.v1.router_service_pb2_grpc import (
    RouterServiceServicer,
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)

from services.kernel.clock import Clock, SystemClock
from services.kernel.context import PaymentMethod
from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.orchestrator.clients import Configs, Planner
from services.orchestrator.clients import Ledger as LedgerClient
from services.orchestrator.clients import Router as RouterClient
from services.orchestrator.rpc import OrchestratorServicer
from services.orchestrator.service.desks import Callers, Desks
from services.orchestrator.service.enforcing import PaymentPolicyEnforcer
from services.orchestrator.service.hearing import ProcessorDoor
from services.orchestrator.service.means import Means as DeskMeans
from services.orchestrator.service.orchestrator import Orchestrator
from services.orchestrator.service.posting import Poster
from services.orchestrator.service.reading import Reading
from services.orchestrator.store.archive import Archive
from services.orchestrator.store.payments import Payments
from services.orchestrator.store.postings import Postings
from services.orchestrator.translate.codec import PaymentCodec, describe
from services.orchestrator.translate.request import request_from_message
from services.orchestrator.workers import (
    Confirmations,
    PosterLoop,
    Recovery,
    Tasks,
    policy_watch,
)
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.translate.plan import plan_message
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.rpc import ProcessorServicer
from services.processor.service.processors import Processors
from services.router.clients import Processors as ProcessorsClient
from services.router.domain.breaker import CircuitBreakers
from services.router.metrics import RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.runtime.crash_points import reach
from services.runtime.database import Database, Record
from services.runtime.messaging.consumer import RetryPolicy
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.process import Messaging
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.orchestrator.policies import StandInConfigs
from tests.plan_builder.orders import MERCHANT, ability, config
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
    planner: "StandInPlanner"
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


def _noting(inner: ProcessorServiceServicer, calls: list[str]) -> ProcessorServiceServicer:
    """Has each call noted before it is passed on."""
    for name in ("Authorize", "Capture", "Void", "Refund", "Lookup"):
        setattr(inner, name, _noted(name, getattr(inner, name), calls))
    return inner


def _noted(name: str, method: Any, calls: list[str]) -> Any:
    async def call(request: Any, context: Any) -> Any:
        calls.append(name)
        return await method(request, context)

    return call


class StandInPlanner(PlanBuilderServiceServicer):
    """Builds the plans that the real one would, from a configuration that a test sets."""

    def __init__(self) -> None:
        self.config = config("simulated")
        self.catalogue = {"simulated": ability("simulated")}

    async def BuildPlan(  # noqa: N802 -- the contract's name
        self, request: BuildPlanRequest, context: Any
    ) -> BuildPlanResponse:
        plan = build_plan(request_from_message(request.context), self.config, self.catalogue)
        return BuildPlanResponse(plan=plan_message(plan))


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
    calls: list[str] = []
    registry.register(add_ProcessorServiceServicer_to_server, _noting(processors, calls))
    journal = Journal(database, event_payload, clock)
    registry.register(
        add_LedgerServiceServicer_to_server,
        ledger or LedgerServicer(Ledger(journal, Seals(database))),
    )
    planner = StandInPlanner()  # type: ignore[abstract]  # it replays nothing
    registry.register(add_PlanBuilderServiceServicer_to_server, planner)
    configs = StandInConfigs()  # type: ignore[abstract]  # it stores nothing
    registry.register(add_MerchantConfigServiceServicer_to_server, configs)
    async with connect_in_process(registry) as channel:
        means = Means(
            ProcessorsClient(ProcessorServiceStub(channel)),
            CircuitBreakers(clock, log_transition),
            RouterMetrics(telemetry.registry),
            clock,
        )
        registry.register(
            add_RouterServiceServicer_to_server, router or RouterServicer(Router(means))
        )
        postings = Postings(database)
        payments = Payments(database, PaymentCodec(), postings)
        policies = Configs(MerchantConfigServiceStub(channel), clock)
        enforcer = PaymentPolicyEnforcer(policies)
        callers, tasks = Callers(), Tasks(telemetry.tracing, grace=timedelta(seconds=5))
        desks = Desks(
            DeskMeans(
                payments,
                RouterClient(RouterServiceStub(channel)),
                describe,
                clock,
                callers.tell,
                reach,
                enforcer.forbid,
            ),
            tasks,
            callers,
        )
        booking = LedgerClient(LedgerServiceStub(channel))
        planning = Planner(PlanBuilderServiceStub(channel))
        orchestrator = Orchestrator(payments, desks, planning, enforcer, clock)
        poster = Poster(postings, desks, booking, clock, reach)
        registry.register(
            add_OrchestratorServiceServicer_to_server,
            OrchestratorServicer(
                orchestrator,
                Reading(payments, Archive(database, PaymentCodec()), booking),
                ProcessorDoor(payments, desks, clock),
                poster,
            ),
        )
        recovery = Recovery(payments, desks, clock)
        messaging = Messaging(
            database,
            PostgresBus(database),
            retry=RetryPolicy(),
            metrics=MessagingMetrics(telemetry.registry),
            tracing=telemetry.tracing,
        )
        house = House(
            database,
            registry,
            OrchestratorServiceStub(channel),
            poster,
            payments,
            planner,
            configs,
            policies,
            desks,
            calls,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(tasks.close, recovery.leave)
            await stack.enter_async_context(policy_watch(policies))
            if books:
                await stack.enter_async_context(PosterLoop(poster, postings))
            if recovers:
                await stack.enter_async_context(recovery.running())
                await stack.enter_async_context(
                    messaging.consuming(Confirmations(payments, desks).consumer())
                )
                await stack.enter_async_context(messaging.relaying(clock))
            yield house
        callers.dismiss()
    await payments.close()
    await journal.close()
    await database.close()


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
