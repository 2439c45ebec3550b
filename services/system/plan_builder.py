"""The plan builder, which keeps configurations and processors at hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.plan.v1.plan_builder_service_pb2_grpc import add_PlanBuilderServiceServicer_to_server
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.plan_builder.clients import Configs, NoRecordings, Processors, Recordings
from services.plan_builder.rpc import PlanBuilderServicer
from services.plan_builder.service import PlanBuilder, PlanReplay
from services.plan_builder.workers import config_watch
from services.system.shared import System


@asynccontextmanager
async def open_plan_builder(system: System) -> AsyncIterator[None]:
    merchant_config = await system.channel_to("merchant_config")
    processor = await system.channel_to("processor")
    configs = Configs(MerchantConfigServiceStub(merchant_config), system.clock)
    catalogue = Processors(ProcessorServiceStub(processor), system.clock)
    system.registry.register(
        add_PlanBuilderServiceServicer_to_server,
        PlanBuilderServicer(
            PlanBuilder(configs, catalogue),
            PlanReplay(configs, catalogue, await _recordings(system)),
        ),
    )
    async with config_watch(configs):
        yield


async def _recordings(system: System) -> Recordings | NoRecordings:
    # Plans need no orchestrator: a plan builder by itself makes them without knowing of one.
    if not system.knows("orchestrator"):
        return NoRecordings()
    return Recordings(OrchestratorServiceStub(await system.channel_to("orchestrator")))
