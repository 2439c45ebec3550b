"""Who is let in, and which handlers are: the token, and the checks at registration."""

import grpc
import pytest
from grpc.aio import AioRpcError
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest

from services.kernel.errors import Reason, Unauthenticated
from services.runtime.rpc import Middleware, Registry, connect, typed_errors
from services.runtime.telemetry import Telemetry
from tests.runtime.rpc.house import LEDGER, TOKEN, House, open_house


@pytest.mark.parametrize("shown", [None, "Bearer wrong", TOKEN, f"bearer {TOKEN}"])
async def test_network_caller_without_the_token_is_refused(shown: str | None) -> None:
    async with open_house("network") as house:
        metadata = (("authorization", shown),) if shown else ()
        with pytest.raises(Unauthenticated) as refusal, typed_errors():
            await house.bare_stub.GetBalance(GetBalanceRequest(), timeout=10, metadata=metadata)
        assert refusal.value.reason is Reason.UNAUTHENTICATED
        assert TOKEN not in refusal.value.message


async def test_wrong_token_is_told_before_the_missing_deadline() -> None:
    async with open_house("network") as house:
        with pytest.raises(Unauthenticated), typed_errors():
            await house.bare_stub.GetBalance(GetBalanceRequest())


async def test_connect_shows_its_token() -> None:
    async with open_house("network") as house, connect(house.address, token="wrong") as channel:  # noqa: S106
        call = channel.unary_unary(f"/{LEDGER}/GetBalance", bytes, bytes)
        with pytest.raises(AioRpcError) as refusal:
            await call(b"")
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_process_trusts_itself_without_a_token() -> None:
    async with open_house("in-process") as house:
        await house.bare_stub.GetBalance(GetBalanceRequest(), timeout=10)


async def test_server_without_a_token_lets_no_network_caller_in() -> None:
    async with open_house("network") as house:
        house.registry.middleware._authorization = None
        with pytest.raises(Unauthenticated), typed_errors():
            await house.stub.GetBalance(GetBalanceRequest())


def test_service_is_registered_once(house: House) -> None:
    handlers = {"Get": grpc.unary_unary_rpc_method_handler(lambda *_: None, bytes, bytes)}
    with pytest.raises(ValueError, match="registered already"):
        house.registry.add_registered_method_handlers(LEDGER, handlers)


def test_method_that_takes_a_stream_is_refused_at_registration() -> None:
    registry = Registry(Middleware(Telemetry.create("test")))
    handlers = {"Pour": grpc.stream_unary_rpc_method_handler(lambda *_: None, bytes, bytes)}
    with pytest.raises(ValueError, match=r"a\.B/Pour must take one protobuf message"):
        registry.add_registered_method_handlers("a.B", handlers)


def test_handler_that_would_block_the_loop_is_refused_at_registration() -> None:
    registry = Registry(Middleware(Telemetry.create("test")))
    handlers = {"Get": grpc.unary_unary_rpc_method_handler(lambda *_: None, bytes, bytes)}
    with pytest.raises(TypeError, match=r"a\.B/Get must be `async def`"):
        registry.add_registered_method_handlers("a.B", handlers)
