"""A plan builder beside real configurations, behind the door of production."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.plan.v1.plan_builder_service_pb2_grpc import (
    PlanBuilderServiceStub,
    add_PlanBuilderServiceServicer_to_server,
)
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)

from services.kernel.clock import SystemClock
from services.plan_builder.clients import Configs, NoRecordings, Processors
from services.plan_builder.rpc import PlanBuilderServicer
from services.plan_builder.service import PlanBuilder, PlanReplay
from services.plan_builder.workers import config_watch
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.merchant_config.conftest import running_configs
from tests.stand_in_processors import StandInProcessors, processor


@dataclass(frozen=True)
class PlannerUnderTest:
    """A plan builder in a process of its own, with the configurations of another."""

    configs: MerchantConfigServiceStub
    stub: PlanBuilderServiceStub
    processors: StandInProcessors
    asked_for: list[int] = field(default_factory=list)
    """The versions that were asked of MerchantConfigService."""


class _CountingConfigs:
    """The other process's stub, which remembers what was read of it."""

    def __init__(self, stub: MerchantConfigServiceStub, asked_for: list[int]) -> None:
        self.WatchConfigs = stub.WatchConfigs
        self.DiffConfigs = stub.DiffConfigs
        self._stub = stub
        self._asked_for = asked_for

    def GetConfig(self, request, **options):  # type: ignore[no-untyped-def]  # noqa: N802 -- as the stub's
        self._asked_for.append(request.version)
        return self._stub.GetConfig(request, **options)


@pytest.fixture
async def planner(application_url: str) -> AsyncIterator[PlannerUnderTest]:
    processors = StandInProcessors(  # type: ignore[abstract]  # it normalizes and lists no events
        processor("stripe"), processor("stripe_eu", currencies=["EUR"]), processor("cards_only")
    )
    registry = Registry(Middleware(Telemetry.create("test")))
    registry.register(add_ProcessorServiceServicer_to_server, processors)
    async with running_configs(application_url) as elsewhere, connect_in_process(registry) as own:
        planner = PlannerUnderTest(elsewhere.stub, PlanBuilderServiceStub(own), processors)
        counting = _CountingConfigs(elsewhere.stub, planner.asked_for)
        configs = Configs(counting, SystemClock())  # type: ignore[arg-type]  # as far as it is used
        catalogue = Processors(ProcessorServiceStub(own), SystemClock(), lifetime=timedelta(0))
        builder = PlanBuilder(configs, catalogue)
        replay = PlanReplay(configs, catalogue, NoRecordings())
        registry.register(
            add_PlanBuilderServiceServicer_to_server,
            PlanBuilderServicer(builder, replay),
        )
        async with config_watch(configs):
            async with asyncio.timeout(30):
                while not configs.is_watching:  # noqa: ASYNC110 -- the stream tells nobody else
                    await asyncio.sleep(0.01)
            yield planner
