"""The network server: where it listens, what it tells about itself, and how it stops."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc.aio import AioRpcError
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, GetBalanceResponse
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)

from services.kernel.errors import Reason, ResourceExhausted, Unavailable
from services.runtime.rpc import (
    ChannelError,
    ClientTls,
    GrpcServer,
    Middleware,
    Registry,
    ServerLimits,
    ServerTls,
    connect,
    typed_errors,
)
from services.runtime.telemetry import Telemetry
from tests.runtime.rpc.house import (
    LEDGER,
    PATIENCE_SECONDS,
    TOKEN,
    Context,
    ScriptedLedger,
    balance_of,
    health,
)


def registry_with(ledger: ScriptedLedger) -> Registry:
    registry = Registry(Middleware(Telemetry.create("test"), token=TOKEN))
    registry.register(add_LedgerServiceServicer_to_server, ledger)
    return registry


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()  # type: ignore[abstract] # what is left out must answer UNIMPLEMENTED


@asynccontextmanager
async def served(
    ledger: ScriptedLedger, limits: ServerLimits | None = None
) -> AsyncIterator[tuple[GrpcServer, str]]:
    server = GrpcServer(registry_with(ledger), limits=limits)
    port = await server.start("127.0.0.1:0")
    yield server, f"127.0.0.1:{port}"
    await server.stop(grace_seconds=0)


async def test_busy_port_is_refused_in_one_line(ledger: ScriptedLedger) -> None:
    async with served(ledger) as (_, address):
        with pytest.raises(ChannelError) as refusal:
            await GrpcServer(registry_with(ledger)).start(address)
    assert str(refusal.value).startswith(f"cannot listen on {address}: Address already in use")
    assert "\n" not in str(refusal.value)


async def test_port_held_by_another_program_is_refused(ledger: ScriptedLedger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ChannelError, match="cannot listen"):
            await GrpcServer(registry_with(ledger)).start(address)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "ledger.internal:0"])
async def test_listening_off_localhost_without_tls_is_refused(
    ledger: ScriptedLedger, address: str
) -> None:
    with pytest.raises(ChannelError, match="is not on this machine: set a TLS certificate"):
        await GrpcServer(registry_with(ledger)).start(address)


def test_connecting_off_localhost_without_tls_is_refused() -> None:
    with pytest.raises(ChannelError, match="is not on this machine"):
        connect("10.0.0.1:443", token=TOKEN)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost:http", "", "127.0.0.1:65536"])
async def test_address_without_a_port_is_refused(ledger: ScriptedLedger, address: str) -> None:
    with pytest.raises(ChannelError, match="write host:port"):
        await GrpcServer(registry_with(ledger)).start(address)


async def test_address_of_another_machine_cannot_be_listened_on(
    ledger: ScriptedLedger, localhost_tls: ServerTls
) -> None:
    with pytest.raises(ChannelError, match=r"cannot listen on 192\.0\.2\.1:1"):
        await GrpcServer(registry_with(ledger), tls=localhost_tls).start("192.0.2.1:1")


async def test_health_is_told_for_the_process_and_each_service(ledger: ScriptedLedger) -> None:
    async with served(ledger) as (_, address), grpc.aio.insecure_channel(address) as channel:
        assert await health(channel, "") == "SERVING"
        assert await health(channel, LEDGER) == "SERVING"
        with pytest.raises(AioRpcError) as unknown:
            await health(channel, "payments.nobody.v1.NobodyService")
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services_and_describes_them(ledger: ScriptedLedger) -> None:
    async with served(ledger) as (_, address), grpc.aio.insecure_channel(address) as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        questions = [
            ServerReflectionRequest(list_services=""),
            ServerReflectionRequest(file_containing_symbol=LEDGER),
        ]
        listed, described = [answer async for answer in ask(iter(questions))]
    names = {service.name for service in listed.list_services_response.service}
    assert {LEDGER, "grpc.health.v1.Health"} <= names
    files = [
        FileDescriptorProto.FromString(raw)
        for raw in described.file_descriptor_response.file_descriptor_proto
    ]
    assert "payments/ledger/v1/ledger_service.proto" in {file.name for file in files}


async def test_draining_server_reports_it_refuses_new_calls_and_ends_those_it_has(
    ledger: ScriptedLedger,
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def linger(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        arrived.set()
        await go_on.wait()
        return balance_of(request.account)

    ledger.answer = linger
    async with served(ledger) as (server, address), connect(address, token=TOKEN) as channel:
        stub = LedgerServiceStub(channel)
        running = stub.GetBalance(GetBalanceRequest(account="running"))
        await arrived.wait()
        stopping = asyncio.create_task(server.stop(grace_seconds=PATIENCE_SECONDS))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await health(channel) != "NOT_SERVING":  # noqa: ASYNC110 -- health rings no bell
                await asyncio.sleep(0.005)
        with pytest.raises(Unavailable) as refusal, typed_errors():
            await stub.GetBalance(GetBalanceRequest())
        assert refusal.value.reason is Reason.SHUTTING_DOWN
        assert not stopping.done()
        go_on.set()
        assert (await running).balance.account == "running"
        await stopping


async def test_call_that_outlasts_the_grace_is_cancelled(ledger: ScriptedLedger) -> None:
    arrived, cancelled = asyncio.Event(), asyncio.Event()

    async def linger(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        arrived.set()
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            cancelled.set()
        return GetBalanceResponse()

    ledger.answer = linger
    async with served(ledger) as (server, address), connect(address, token=TOKEN) as channel:
        running = LedgerServiceStub(channel).GetBalance(GetBalanceRequest())
        await arrived.wait()
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            await server.stop(grace_seconds=0.05)
            await cancelled.wait()
        with pytest.raises(Unavailable), typed_errors():
            await running


async def test_stopped_server_frees_its_port(ledger: ScriptedLedger) -> None:
    async with served(ledger) as (server, address):
        await server.stop(grace_seconds=0)
        again = GrpcServer(registry_with(ledger))
        assert f"127.0.0.1:{await again.start(address)}" == address
        await again.stop(grace_seconds=0)


async def test_calls_beyond_the_bound_are_refused(ledger: ScriptedLedger) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def linger(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        arrived.set()
        await go_on.wait()
        return GetBalanceResponse()

    ledger.answer = linger
    limits = ServerLimits(concurrent_calls_max=1)
    async with served(ledger, limits) as (_, address), connect(address, token=TOKEN) as channel:
        stub = LedgerServiceStub(channel)
        running = stub.GetBalance(GetBalanceRequest())
        await arrived.wait()
        with pytest.raises(ResourceExhausted) as refusal, typed_errors():
            await stub.GetBalance(GetBalanceRequest())
        assert refusal.value.reason is Reason.QUEUE_FULL
        go_on.set()
        await running


@pytest.fixture
def localhost_tls() -> ServerTls:
    folder = Path(__file__).parent / "localhost_tls"
    return ServerTls(certificate=folder / "certificate.pem", key=folder / "key.pem")


async def test_server_with_tls_listens_off_localhost_and_is_known_by_its_certificate(
    ledger: ScriptedLedger, localhost_tls: ServerTls
) -> None:
    server = GrpcServer(registry_with(ledger), tls=localhost_tls)
    port = await server.start("0.0.0.0:0")
    known = ClientTls(root_certificates=localhost_tls.certificate)
    async with connect(f"127.0.0.1:{port}", token=TOKEN, tls=known) as channel:
        response = await LedgerServiceStub(channel).GetBalance(GetBalanceRequest(account="cash"))
    assert response.balance.account == "cash"
    await server.stop(grace_seconds=0)


@pytest.mark.parametrize("tls", [None, ClientTls()], ids=["in the clear", "by system certificates"])
async def test_server_with_tls_serves_nobody_who_does_not_know_it(
    ledger: ScriptedLedger, localhost_tls: ServerTls, tls: ClientTls | None
) -> None:
    server = GrpcServer(registry_with(ledger), tls=localhost_tls)
    port = await server.start("127.0.0.1:0")
    async with connect(f"127.0.0.1:{port}", token=TOKEN, tls=tls) as channel:
        with pytest.raises(Unavailable), typed_errors():
            await LedgerServiceStub(channel).GetBalance(GetBalanceRequest())
    await server.stop(grace_seconds=0)


async def test_tls_files_that_cannot_be_read_are_refused_in_one_line(
    ledger: ScriptedLedger, tmp_path: Path
) -> None:
    tls = ServerTls(certificate=tmp_path / "none.pem", key=tmp_path / "none.pem")
    with pytest.raises(ChannelError, match="cannot read the TLS certificate or key") as refusal:
        await GrpcServer(registry_with(ledger), tls=tls).start("127.0.0.1:0")
    assert "\n" not in str(refusal.value)


async def test_tls_files_that_hold_something_else_are_refused_in_one_line(
    ledger: ScriptedLedger, tmp_path: Path
) -> None:
    (tmp_path / "not.pem").write_text("not a certificate")
    tls = ServerTls(certificate=tmp_path / "not.pem", key=tmp_path / "not.pem")
    with pytest.raises(ChannelError, match="are not a TLS certificate and its key") as refusal:
        await GrpcServer(registry_with(ledger), tls=tls).start("127.0.0.1:0")
    assert "\n" not in str(refusal.value)


def test_root_certificates_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="cannot read the TLS root certificates"):
        connect("localhost:1", token=TOKEN, tls=ClientTls(root_certificates=tmp_path / "none.pem"))
