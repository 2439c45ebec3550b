"""The plan builder, which keeps configurations and processors at hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.plan.v1.plan_builder_service_pb2_grpc import add_PlanBuilderServiceServicer_to_server
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.plan_builder.clients import Configs, Processors
from services.plan_builder.rpc import PlanBuilderServicer
from services.plan_builder.service import PlanBuilder
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
        PlanBuilderServicer(PlanBuilder(configs, catalogue)),  # type: ignore[abstract]  # no replay
    )
    async with config_watch(configs):
        yield
