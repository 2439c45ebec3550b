"""A small house for the tests: a scripted ledger behind both kinds of channel, with its records."""

import asyncio
import io
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import orjson
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    VerifyIntegrityRequest,
    VerifyIntegrityResponse,
)
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)

from services.runtime.rpc import (
    GrpcServer,
    Middleware,
    Registry,
    ServerLimits,
    connect,
    connect_in_process,
)
from services.runtime.rpc.in_process.channel import InProcessChannel
from services.runtime.telemetry import Telemetry, configure_logging

Kind = Literal["in-process", "network"]
TOKEN = "house-token"  # noqa: S105 -- a token of the tests alone
LEDGER = "payments.ledger.v1.LedgerService"
GET_BALANCE = f"/{LEDGER}/GetBalance"

# Long enough that only a hang reaches it, on however busy a machine.
PATIENCE_SECONDS = 20.0

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[GetBalanceRequest, Context], Awaitable[GetBalanceResponse]]
Report = Callable[[VerifyIntegrityRequest, Context], AsyncIterator[VerifyIntegrityResponse]]


def balance_of(account: str) -> GetBalanceResponse:
    """An answer that says which account it is about."""
    response = GetBalanceResponse()
    response.balance.account = account
    return response


def progress(blocks: int) -> VerifyIntegrityResponse:
    """One report of a stream, numbered."""
    response = VerifyIntegrityResponse()
    response.progress.blocks_checked = blocks
    return response


async def echo(request: GetBalanceRequest, _context: Context) -> GetBalanceResponse:
    """Answer with the account that was asked for."""
    return balance_of(request.account)


async def three_reports(
    _request: VerifyIntegrityRequest, _context: Context
) -> AsyncIterator[VerifyIntegrityResponse]:
    """Answer with reports 0, 1 and 2."""
    for number in range(3):
        yield progress(number)


class ScriptedLedger(LedgerServiceServicer):
    """Two methods do what the test says; the rest are left to the generated base class."""

    def __init__(self) -> None:
        self.answer: Answer = echo
        self.report: Report = three_reports

    async def GetBalance(  # noqa: N802 -- the contract's name
        self, request: GetBalanceRequest, context: Context
    ) -> GetBalanceResponse:
        return await self.answer(request, context)

    async def VerifyIntegrity(  # noqa: N802 -- the contract's name
        self, request: VerifyIntegrityRequest, context: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        async for response in self.report(request, context):
            yield response


async def health(channel: grpc.aio.Channel, service: str = "") -> str:
    """What the health service says of a service; "" is the whole process."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    response = await check(HealthCheckRequest(service=service))
    return HealthCheckResponse.ServingStatus.Name(response.status)


async def read_into(
    seen: list[VerifyIntegrityResponse], reports: AsyncIterable[VerifyIntegrityResponse]
) -> None:
    """Read a stream to its end, keeping what came should it end badly."""
    async for report in reports:
        seen.append(report)  # noqa: PERF401 -- what came before an error counts


@dataclass
class House:
    """The ledger, the stub that reaches it over one kind of channel, and what was recorded."""

    kind: Kind
    ledger: ScriptedLedger
    registry: Registry
    telemetry: Telemetry
    channel: grpc.aio.Channel
    bare_channel: grpc.aio.Channel
    spans_exporter: InMemorySpanExporter
    logs: io.StringIO
    address: str = ""
    stub: LedgerServiceStub = field(init=False)
    bare_stub: LedgerServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = LedgerServiceStub(self.channel)
        self.bare_stub = LedgerServiceStub(self.bare_channel)

    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self.spans_exporter.get_finished_spans()

    def call_lines(self) -> list[dict[str, Any]]:
        """The lines that were logged about calls."""
        lines = [orjson.loads(line) for line in self.logs.getvalue().splitlines()]
        return [line for line in lines if line["event"] == "call answered"]

    async def until_counted(self, code: str) -> None:
        """Wait until the metrics count a call that ended so: its caller may know of it earlier."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.calls_counted(code):  # noqa: ASYNC110 -- a counter rings no bell
                await asyncio.sleep(0.005)

    def calls_counted(self, code: str, method: str = "GetBalance", service: str = LEDGER) -> float:
        """How many calls the metrics count."""
        labels = {"service": service, "method": method, "code": code}
        return self.telemetry.registry.get_sample_value("rpc_calls_total", labels) or 0.0


@asynccontextmanager
async def open_house(
    kind: Kind, *, sample_ratio: float = 0.0, message_bytes_max: int = 64 * 1024
) -> AsyncIterator[House]:
    """Open a house with one kind of channel, and close it in order."""
    logs, exporter = io.StringIO(), InMemorySpanExporter()
    configure_logging("house", level="debug", stream=logs)
    telemetry = Telemetry.create("house", sample_ratio=sample_ratio, exporters=[exporter])
    registry = Registry(Middleware(telemetry, token=TOKEN))
    ledger = ScriptedLedger()  # type: ignore[abstract] # what is left out must answer UNIMPLEMENTED
    registry.register(add_LedgerServiceServicer_to_server, ledger)
    server = GrpcServer(registry, limits=ServerLimits(message_bytes_max=message_bytes_max))
    address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    if kind == "network":
        channel = connect(address, token=TOKEN, message_bytes_max=message_bytes_max)
        bare: grpc.aio.Channel = grpc.aio.insecure_channel(address)
    else:
        channel = connect_in_process(registry, message_bytes_max=message_bytes_max)
        bare = InProcessChannel(registry, message_bytes_max=message_bytes_max)
    async with channel, bare:
        yield House(kind, ledger, registry, telemetry, channel, bare, exporter, logs, address)
    await server.stop(grace_seconds=0)
    telemetry.close()


async def answer_to(house: House, **metadata: str) -> str:
    """The account that the ledger answers with, to a call with this metadata."""
    pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    response = await house.stub.GetBalance(GetBalanceRequest(), metadata=pairs)
    return response.balance.account
