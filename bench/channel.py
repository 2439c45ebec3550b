"""What one call costs on the in-process channel and over loopback gRPC.

The whole of a call is measured, as a service makes it: a generated stub, deadline, request id and
trace ids, every middleware, messages serialized and parsed both ways; the handler does nothing.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import grpc
import uvloop
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, GetBalanceResponse
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from rich.console import Console
from rich.table import Table

from bench import JSON_HELP, keep
from services.runtime.rpc import GrpcServer, Middleware, Registry, connect, connect_in_process
from services.runtime.telemetry import Telemetry, configure_logging

_TOKEN = "bench"  # noqa: S105 -- a token of this process alone
_ROUNDS = 5

Kind = Literal["in-process", "network"]
Loop = Literal["asyncio", "uvloop"]
Run = Callable[[Coroutine[Any, Any, float]], float]
_RUNS: dict[Loop, Run] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@dataclass(frozen=True)
class Cost:
    """The cost of a call under one arrangement: the median of the rounds."""

    channel: Kind
    loop: Loop
    concurrent: int
    call_us: float
    calls_per_second: float


class _Ledger(LedgerServiceServicer):
    async def GetBalance(  # noqa: N802 -- the contract's name
        self, request: GetBalanceRequest, _context: object
    ) -> GetBalanceResponse:
        response = GetBalanceResponse()
        response.balance.account = request.account
        response.balance.amount.amount_minor = 12_345
        response.balance.amount.currency = request.currency
        return response


@asynccontextmanager
async def _channel(kind: Kind) -> AsyncIterator[grpc.aio.Channel]:
    registry = Registry(Middleware(Telemetry.create("bench"), token=_TOKEN))
    registry.register(add_LedgerServiceServicer_to_server, _Ledger())  # type: ignore[abstract] # one method is enough here
    if kind == "in-process":
        async with connect_in_process(registry) as channel:
            yield channel
        return
    server = GrpcServer(registry)
    port = await server.start("127.0.0.1:0")
    async with connect(f"127.0.0.1:{port}", token=_TOKEN) as channel:
        yield channel
    await server.stop(grace_seconds=1)


async def _seconds_per_call(kind: Kind, concurrent: int, calls: int) -> float:
    async with _channel(kind) as channel:
        stub = LedgerServiceStub(channel)
        request = GetBalanceRequest(account="merchant:mer_1:available", currency="EUR")

        async def caller(count: int) -> None:
            for _ in range(count):
                await stub.GetBalance(request, timeout=30)

        async def round_of(count: int) -> float:
            started_at = time.perf_counter()
            await asyncio.gather(*(caller(count // concurrent) for _ in range(concurrent)))
            return (time.perf_counter() - started_at) / (count // concurrent * concurrent)

        await round_of(max(calls // 5, concurrent))
        return statistics.median([await round_of(calls) for _ in range(_ROUNDS)])


def measure(in_process_calls: int, network_calls: int) -> list[Cost]:
    """Measure every arrangement, one after another."""
    arrangements: list[tuple[Kind, Loop, int, int]] = [
        ("in-process", "uvloop", 1, in_process_calls),
        ("in-process", "uvloop", 32, in_process_calls),
        ("in-process", "asyncio", 1, in_process_calls),
        ("network", "uvloop", 1, network_calls),
        ("network", "uvloop", 32, network_calls),
    ]
    costs = []
    for kind, loop, concurrent, calls in arrangements:
        seconds = _RUNS[loop](_seconds_per_call(kind, concurrent, calls))
        costs.append(Cost(kind, loop, concurrent, round(seconds * 1e6, 1), round(1 / seconds)))
    return costs


def _table(costs: Sequence[Cost]) -> Table:
    table = Table(title="Cost of one unary call, all middleware included")
    for heading in ("channel", "loop", "concurrent", "µs a call", "calls/s"):
        table.add_column(heading, justify="left" if heading in {"channel", "loop"} else "right")
    for cost in costs:
        table.add_row(
            cost.channel,
            cost.loop,
            str(cost.concurrent),
            f"{cost.call_us:,.1f}",
            f"{cost.calls_per_second:,}",
        )
    return table


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench channel", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    parser.add_argument("--in-process-calls", type=int, default=10_000, help="per round")
    parser.add_argument("--network-calls", type=int, default=2_000, help="per round")
    options = parser.parse_args(arguments)
    configure_logging("bench", level="warning")
    costs = measure(options.in_process_calls, options.network_calls)
    keep([asdict(cost) for cost in costs], options.json)
    Console().print(_table(costs))
    return 0
