"""The ways in which payments are made here, each opened for a round, measured and drained."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from grpc.aio import Channel
from payments.orchestrator.v1.orchestrator_service_pb2 import ExecutePlanRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import PaymentState

from bench.payments import load
from bench.payments.load import Figure, Pay, Round
from bench.payments.one_a_write import CONNECTIONS, one_transaction_a_write
from bench.payments.rows import RowSizes, drained, run_pgbench
from bench.payments.serving import peak_memory_mb, serving
from bench.payments.shop import open_shop, planned
from services.kernel.ids import MerchantId, RequestId
from services.runtime.database import Database
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate
from services.runtime.rpc import connect
from services.runtime.settings import load_settings
from services.system import open_system

IN_PROCESS: Final = "in process"
OVER_GRPC: Final = "over gRPC"
ONE_A_WRITE: Final = f"one transaction a write, {CONNECTIONS} connections"
PGBENCH: Final = "pgbench, the same rows, 32 connections"
_PGBENCH_CLIENTS: Final = {"pgbench, the same rows, 8 connections": 8, PGBENCH: 32}
_QUIET_A_SECOND: Final = 50
_WARM_UP_SECONDS: Final = 1.0

_numbers = count()


@dataclass
class Report:
    """Everything that a run has found."""

    load_average: float
    """Of the last minute before the run: what else the machine was doing."""
    figures: list[Figure] = field(default_factory=list)
    service_memory_mb: float = 0.0
    row_sizes: RowSizes | None = None


@dataclass
class _Bench:
    folder: Path
    url: str
    database: Database
    report: Report
    seconds: float
    callers: int

    def in_process(self) -> AbstractAsyncContextManager[Pay]:
        return paying_in_process(self.folder / "home", self.url)

    @asynccontextmanager
    async def one_a_write(self) -> AsyncIterator[Pay]:
        async with one_transaction_a_write(self.url), self.in_process() as pay:
            yield pay

    @asynccontextmanager
    async def over_grpc(self) -> AsyncIterator[Pay]:
        """The services in a process of their own, the callers in this one."""
        with serving(self.folder, self.url) as (run, process):
            async with connect(run.grpc_address, token=run.grpc_token) as channel:
                yield await _shopping(channel)
            memory_mb = peak_memory_mb(process)
            self.report.service_memory_mb = max(self.report.service_memory_mb, memory_mb)

    async def busy(self, opened: AbstractAsyncContextManager[Pay]) -> Round:
        """As many callers as there are, and then what they have left to be done."""
        async with opened as pay:
            await load.at_once(pay, callers=self.callers, seconds=_WARM_UP_SECONDS)
            found = await load.at_once(pay, callers=self.callers, seconds=self.seconds)
            return replace(found, drained_seconds=await drained(self.database))

    async def quiet(self, opened: AbstractAsyncContextManager[Pay]) -> Round:
        """So few payments that none waits for another: what the platform itself takes."""
        async with opened as pay:
            await load.at_once(pay, callers=4, seconds=_WARM_UP_SECONDS)
            await drained(self.database)
            found = await load.paced(pay, a_second=_QUIET_A_SECOND, seconds=self.seconds)
            return replace(found, drained_seconds=await drained(self.database))

    async def pgbench(self, clients: int) -> Round:
        sizes = self.report.row_sizes or await RowSizes.measured(self.database)
        self.report.row_sizes = sizes
        return await run_pgbench(self.url, sizes, clients=clients, seconds=self.seconds)


@asynccontextmanager
async def paying_in_process(home: Path, url: str) -> AsyncIterator[Pay]:
    """All the services in this process, and the callers too."""
    async with open_system(load_settings(switchyard_home=home, database_url=url)) as system:
        yield await _shopping(system.channel)


async def measure(folder: Path, *, seconds: float, rounds: int, callers: int, only: str) -> Report:
    """Every arrangement, round by round in turn."""
    report = Report(load_average=os.getloadavg()[0])
    server = await EmbeddedPostgres.start(folder / "home")
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        url = server.application_url
        database = await Database.connect(url, application_name="bench", pool_size=2)
        await _measure(_Bench(folder, url, database, report, seconds, callers), rounds, only)
        await database.close()
    finally:
        await server.stop()
    return report


async def _measure(bench: _Bench, rounds: int, only: str) -> None:
    arrangements: dict[str, Callable[[], Awaitable[Round]]] = {
        IN_PROCESS: lambda: bench.busy(bench.in_process()),
        OVER_GRPC: lambda: bench.busy(bench.over_grpc()),
        ONE_A_WRITE: lambda: bench.busy(bench.one_a_write()),
    }
    for name, clients in _PGBENCH_CLIENTS.items():
        arrangements[name] = partial(bench.pgbench, clients)
    quiet: dict[str, Callable[[], Awaitable[Round]]] = {
        f"{IN_PROCESS}, {_QUIET_A_SECOND}/s": lambda: bench.quiet(bench.in_process()),
        f"{OVER_GRPC}, {_QUIET_A_SECOND}/s": lambda: bench.quiet(bench.over_grpc()),
    }
    chosen = {name: run for name, run in {**arrangements, **quiet}.items() if only in name}
    found: dict[str, list[Round]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, run in chosen.items():
            found[name].append(await run())
    bench.report.figures = [
        Figure.of(name, each, is_paced=name in quiet) for name, each in found.items()
    ]


async def _shopping(channel: Channel) -> Pay:
    """A merchant of its own, with a configuration and a plan; what is returned pays once."""
    merchant_id = MerchantId.new()
    await open_shop(channel, merchant_id)
    template = await planned(channel, merchant_id)
    orchestrator = OrchestratorServiceStub(channel)

    async def pay() -> None:
        number = next(_numbers)
        request = ExecutePlanRequest()
        request.CopyFrom(template)
        request.idempotency_key = request.context.idempotency_key = f"order-{number}"
        request.context.request_id = RequestId.new()
        # A user may try to pay but so often.
        request.context.user_id = f"user-{number}"
        payment = (await orchestrator.ExecutePlan(request, timeout=60)).payment
        assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED

    return pay
