"""What the router adds to a processor's own time, in process.

A whole ExecuteAttempt is measured as the orchestrator makes it: two in-process calls with all their
middleware, the breaker, the decisions and the messages. The processor answers at once; the time its
handler takes is measured too and taken off.
"""

import argparse
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from payments.core.v1.money_pb2 import Money
from payments.core.v1.operation_pb2 import OPERATION_AUTHORIZE
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD, PaymentInstrument
from payments.processor.v1.attempt_pb2 import Attempt
from payments.processor.v1.processor_service_pb2 import AuthorizeRequest, AuthorizeResponse
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceServicer,
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)
from payments.result.v1.result_pb2 import OUTCOME_SUCCEEDED, Result
from payments.router.v1.router_service_pb2 import ExecuteAttemptRequest
from payments.router.v1.router_service_pb2_grpc import (
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)

from bench import JSON_HELP, keep
from services.kernel.clock import SystemClock
from services.kernel.ids import AttemptId, MerchantId, PaymentId, StepId
from services.router.clients import Processors
from services.router.domain.breaker import CircuitBreakers
from services.router.metrics import RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry, configure_logging

TARGET_US: Final = 150.0


@dataclass(frozen=True)
class Overhead:
    """The router's own time for an attempt, in microseconds."""

    attempts: int
    p50_us: float
    p99_us: float


class _AtOnce(ProcessorServiceServicer):
    """Answers without asking anybody, and measures how long even that takes."""

    def __init__(self) -> None:
        self.took_seconds = 0.0

    async def Authorize(self, request: AuthorizeRequest, _: Any) -> AuthorizeResponse:  # noqa: N802 -- the contract's name
        began = time.perf_counter()
        attempt = request.attempt
        response = AuthorizeResponse(
            result=Result(
                success=True,
                outcome=OUTCOME_SUCCEEDED,
                processor_id=attempt.processor_id,
                amount_processed=attempt.amount,
                latency_ms=1,
                processor_reference="pi_bench",
            )
        )
        self.took_seconds = time.perf_counter() - began
        return response


@asynccontextmanager
async def _router() -> AsyncIterator[tuple[RouterServiceStub, _AtOnce]]:
    telemetry = Telemetry.create("bench")
    registry = Registry(Middleware(telemetry))
    processors = _AtOnce()  # type: ignore[abstract]  # one method is enough here
    registry.register(add_ProcessorServiceServicer_to_server, processors)
    async with connect_in_process(registry) as channel:
        clock = SystemClock()
        means = Means(
            Processors(ProcessorServiceStub(channel)),
            CircuitBreakers(clock, log_transition),
            RouterMetrics(telemetry.registry),
            clock,
        )
        registry.register(add_RouterServiceServicer_to_server, RouterServicer(Router(means)))
        yield RouterServiceStub(channel), processors


def _request() -> ExecuteAttemptRequest:
    attempt = Attempt(
        id=AttemptId.new(),
        payment_id=PaymentId.new(),
        step_id=StepId.new(),
        merchant_id=MerchantId.new(),
        processor_id="simulated",
        operation=OPERATION_AUTHORIZE,
        amount=Money(amount_minor=1250, currency="USD"),
        instrument=PaymentInstrument(method=PAYMENT_METHOD_CARD, token="pm_card_visa"),  # noqa: S106 -- a test token's public name
    )
    request = ExecuteAttemptRequest(
        attempt=attempt, idempotency_key=attempt.id, alternative_processor_ids=["backup"]
    )
    request.timeout.FromSeconds(30)
    return request


async def measure(attempts: int) -> Overhead:
    """One attempt after another, so that nothing but the router is in the way."""
    async with _router() as (stub, processors):
        overheads_us = []
        for number in range(attempts + attempts // 5):
            request = _request()
            began = time.perf_counter()
            response = await stub.ExecuteAttempt(request, timeout=60)
            took_seconds = time.perf_counter() - began
            assert response.result.success
            if number >= attempts // 5:
                overheads_us.append((took_seconds - processors.took_seconds) * 1e6)
    cuts = statistics.quantiles(overheads_us, n=100)
    return Overhead(attempts, round(cuts[49], 1), round(cuts[98], 1))


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 when the target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench router", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    parser.add_argument("--attempts", type=int, default=20_000)
    options = parser.parse_args(arguments)
    configure_logging("bench", level="warning")
    found = uvloop.run(measure(options.attempts))
    keep(asdict(found), options.json)
    sys.stdout.write(
        f"router: {found.p50_us} µs p50, {found.p99_us} µs p99 over {found.attempts:,}"
        f" attempts in process, without the processor's own time; target {TARGET_US:.0f} p50\n"
    )
    return 0 if found.p50_us < TARGET_US else 1
