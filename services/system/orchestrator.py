"""The orchestrator: payments and their desks, and the workers that drive and book them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import (
    add_OrchestratorServiceServicer_to_server,
)
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub
from payments.router.v1.router_service_pb2_grpc import RouterServiceStub

from services.orchestrator.clients import Configs, Ledger, Planner, Router
from services.orchestrator.metrics import DoubtMetrics, PaymentMetrics
from services.orchestrator.rpc import OrchestratorServicer
from services.orchestrator.service.desks import Callers, Desks
from services.orchestrator.service.enforcing import PaymentPolicyEnforcer
from services.orchestrator.service.hearing import ProcessorDoor
from services.orchestrator.service.means import Means
from services.orchestrator.service.orchestrator import Orchestrator
from services.orchestrator.service.posting import Poster
from services.orchestrator.service.reading import Reading
from services.orchestrator.service.reporting import Reporting
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
from services.runtime.crash_points import reach
from services.system.shared import System


@asynccontextmanager
async def open_orchestrator(system: System) -> AsyncIterator[None]:
    router = Router(RouterServiceStub(await system.channel_to("router")))
    ledger = Ledger(LedgerServiceStub(await system.channel_to("ledger")))
    planner = Planner(PlanBuilderServiceStub(await system.channel_to("plan_builder")))
    merchant_config = MerchantConfigServiceStub(await system.channel_to("merchant_config"))
    policies = Configs(merchant_config, system.clock)
    enforcer = PaymentPolicyEnforcer(policies)
    lease = timedelta(seconds=system.settings.lease_seconds)
    postings = Postings(system.database, lease=lease)
    payments = Payments(system.database, PaymentCodec(), postings, lease=lease)
    tracing = system.telemetry.tracing
    callers, tasks = Callers(), Tasks(tracing)
    means = Means(
        payments,
        router,
        describe,
        system.clock,
        callers.tell,
        reach,
        enforcer.forbid,
        tracing.continued,
        Reporting(PaymentMetrics(system.telemetry.registry)).committed,
    )
    desks = Desks(means, tasks, callers)
    orchestrator = Orchestrator(payments, desks, planner, enforcer, system.clock)
    reading = Reading(payments, Archive(system.database, PaymentCodec()), ledger)
    door = ProcessorDoor(payments, desks, system.clock)
    poster = Poster(postings, desks, ledger, system.clock, reach, trace=tracing.shared)
    servicer = OrchestratorServicer(orchestrator, reading, door, poster)
    system.registry.register(add_OrchestratorServiceServicer_to_server, servicer)
    recovery = Recovery(payments, desks, system.clock, lease=lease)
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
