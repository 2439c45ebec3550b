"""The services of one process, built on a database of the test's own and not running yet."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from grpc.aio import Channel
from payments.config.v1.merchant_config_service_pb2_grpc import (
    MerchantConfigServiceStub,
    add_MerchantConfigServiceServicer_to_server,
)
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import (
    add_OrchestratorServiceServicer_to_server,
)
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

from services.kernel.clock import Clock
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
from services.orchestrator.workers import Tasks
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.translate.plan import plan_message
from services.router.clients import Processors as ProcessorsClient
from services.router.domain.breaker import CircuitBreakers
from services.router.metrics import RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.runtime.crash_points import reach
from services.runtime.database import Database
from services.runtime.rpc import Registry
from services.runtime.telemetry import Telemetry
from tests.orchestrator.policies import StandInConfigs
from tests.plan_builder.orders import ability, config


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


@dataclass(frozen=True)
class Ground:
    """What all services of the process stand on."""

    database: Database
    registry: Registry
    telemetry: Telemetry
    clock: Clock


@dataclass(frozen=True)
class Neighbours:
    """What the orchestrator's own services call, and what tests set of it."""

    journal: Journal
    planner: StandInPlanner
    configs: StandInConfigs
    calls: list[str]
    """What the processors were asked, by the name of the method."""


@dataclass(frozen=True)
class Rooms:
    """The orchestrator's parts that are run, or that tests look at."""

    postings: Postings
    payments: Payments
    policies: Configs
    callers: Callers
    tasks: Tasks
    desks: Desks
    poster: Poster


def neighbours(
    ground: Ground, processors: ProcessorServiceServicer, ledger: LedgerServiceServicer | None
) -> Neighbours:
    """The services that call nobody, with the real ledger unless another is given."""
    register, calls = ground.registry.register, list[str]()
    register(add_ProcessorServiceServicer_to_server, _noting(processors, calls))
    journal = Journal(ground.database, event_payload, ground.clock)
    register(
        add_LedgerServiceServicer_to_server,
        ledger or LedgerServicer(Ledger(journal, Seals(ground.database))),
    )
    planner = StandInPlanner()  # type: ignore[abstract]  # it replays nothing
    register(add_PlanBuilderServiceServicer_to_server, planner)
    configs = StandInConfigs()  # type: ignore[abstract]  # it stores nothing
    register(add_MerchantConfigServiceServicer_to_server, configs)
    return Neighbours(journal, planner, configs, calls)


def add_router(ground: Ground, channel: Channel, router: RouterServiceServicer | None) -> None:
    """The real router unless another is given."""
    means = Means(
        ProcessorsClient(ProcessorServiceStub(channel)),
        CircuitBreakers(ground.clock, log_transition),
        RouterMetrics(ground.telemetry.registry),
        ground.clock,
    )
    ground.registry.register(
        add_RouterServiceServicer_to_server, router or RouterServicer(Router(means))
    )


def orchestrator(ground: Ground, channel: Channel) -> Rooms:
    """The orchestrator itself, which asks the others over the channel."""
    database, clock = ground.database, ground.clock
    postings = Postings(database)
    payments = Payments(database, PaymentCodec(), postings)
    policies = Configs(MerchantConfigServiceStub(channel), clock)
    enforcer = PaymentPolicyEnforcer(policies)
    callers, tasks = Callers(), Tasks(ground.telemetry.tracing, grace=timedelta(seconds=5))
    means = DeskMeans(
        payments,
        RouterClient(RouterServiceStub(channel)),
        describe,
        clock,
        callers.tell,
        reach,
        enforcer.forbid,
    )
    desks = Desks(means, tasks, callers)
    booking = LedgerClient(LedgerServiceStub(channel))
    planning = Planner(PlanBuilderServiceStub(channel))
    poster = Poster(postings, desks, booking, clock, reach)
    ground.registry.register(
        add_OrchestratorServiceServicer_to_server,
        OrchestratorServicer(
            Orchestrator(payments, desks, planning, enforcer, clock),
            Reading(payments, Archive(database, PaymentCodec()), booking),
            ProcessorDoor(payments, desks, clock),
            poster,
        ),
    )
    return Rooms(postings, payments, policies, callers, tasks, desks, poster)


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
