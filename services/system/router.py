"""The router: its breakers, and the processors that it reaches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub
from payments.router.v1.router_service_pb2_grpc import add_RouterServiceServicer_to_server

from services.router.clients import Processors
from services.router.domain.breaker import CircuitBreakers
from services.router.metrics import BreakerCollector, RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.system.shared import System


@asynccontextmanager
async def open_router(system: System) -> AsyncIterator[None]:
    metrics = RouterMetrics(system.telemetry.registry)
    breakers = CircuitBreakers(system.clock, log_transition)
    BreakerCollector(breakers, system.telemetry.registry)
    processors = Processors(ProcessorServiceStub(await system.channel_to("processor")))
    router = Router(Means(processors, breakers, metrics, system.clock))
    system.registry.register(add_RouterServiceServicer_to_server, RouterServicer(router))
    yield
