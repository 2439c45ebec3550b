"""A router before processors whose answers are written down, behind the door of production."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)
from payments.router.v1.circuit_breaker_pb2 import CircuitBreaker
from payments.router.v1.router_service_pb2 import ExecuteAttemptResponse, ListCircuitBreakersRequest
from payments.router.v1.router_service_pb2_grpc import (
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)

from services.kernel.clock import ManualClock
from services.router.clients import Processors
from services.router.domain.breaker import CircuitBreakers, Transition
from services.router.metrics import BreakerCollector, RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.router.attempts import attempt
from tests.stand_in_processors import StandInProcessors

BEGINNING = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class RouterUnderTest:
    """A router on a clock that only moves when it waits or is told to."""

    stub: RouterServiceStub
    processors: StandInProcessors
    telemetry: Telemetry
    clock: ManualClock
    waits_seconds: list[float]
    transitions: list[Transition] = field(default_factory=list)

    async def execute(self, **changed: Any) -> ExecuteAttemptResponse:
        return await self.stub.ExecuteAttempt(attempt(**changed))

    async def breaker(
        self, operation: Operation.ValueType = Operation.OPERATION_AUTHORIZE
    ) -> CircuitBreaker:
        listed = await self.stub.ListCircuitBreakers(
            ListCircuitBreakersRequest(processor_id="stripe", page_size=100)
        )
        (breaker,) = (each for each in listed.circuit_breakers if each.operation == operation)
        return breaker


@pytest.fixture
async def router() -> AsyncIterator[RouterUnderTest]:
    clock = ManualClock(BEGINNING)
    telemetry = Telemetry.create("test")
    processors = StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events
    registry = Registry(Middleware(telemetry))
    registry.register(add_ProcessorServiceServicer_to_server, processors)
    waits: list[float] = []
    transitions: list[Transition] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def on_change(transition: Transition) -> None:
        log_transition(transition)
        transitions.append(transition)

    breakers = CircuitBreakers(clock, on_change)
    BreakerCollector(breakers, telemetry.registry)
    async with connect_in_process(registry) as channel:
        means = Means(
            Processors(ProcessorServiceStub(channel)),
            breakers,
            RouterMetrics(telemetry.registry),
            clock,
            chance=lambda: 0.5,
            pause=pause,
        )
        registry.register(add_RouterServiceServicer_to_server, RouterServicer(Router(means)))
        yield RouterUnderTest(
            RouterServiceStub(channel), processors, telemetry, clock, waits, transitions
        )
