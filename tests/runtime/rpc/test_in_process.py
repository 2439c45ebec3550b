"""What only the in-process channel can show, and what it tells its handlers as the network does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import uvloop
from grpc.aio import UsageError
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    VerifyIntegrityRequest,
    VerifyIntegrityResponse,
)
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)

from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.runtime.rpc.house import (
    PATIENCE_SECONDS,
    Context,
    House,
    Kind,
    ScriptedLedger,
    open_house,
    progress,
)


async def test_stub_may_be_made_before_its_service_is_there() -> None:
    registry = Registry(Middleware(Telemetry.create("test")))
    async with connect_in_process(registry) as channel:
        stub = LedgerServiceStub(channel)
        registry.register(add_LedgerServiceServicer_to_server, ScriptedLedger())  # type: ignore[abstract] # two methods are enough
        assert (await stub.GetBalance(GetBalanceRequest(account="a"))).balance.account == "a"


async def test_stream_waits_for_a_slow_reader() -> None:
    made = 0

    async def endless(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        nonlocal made
        while True:
            yield progress(made)
            made += 1

    async with open_house("in-process") as house:
        house.ledger.report = endless
        call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
        for number in range(3):
            assert await call.read() == progress(number)
            await asyncio.sleep(0.01)
        assert made < 50
        call.cancel()


@pytest.mark.parametrize("kind_of_call", ["stream_unary", "stream_stream"])
async def test_stub_with_a_method_that_streams_requests_can_be_made_but_not_called(
    kind_of_call: str,
) -> None:
    async with open_house("in-process") as house:
        method = getattr(house.channel, kind_of_call)("/a.B/Pour", bytes, bytes)
        with pytest.raises(UsageError, match=r"/a\.B/Pour streams requests"):
            method(iter([b""]))


async def test_channel_is_ready_until_it_is_closed() -> None:
    async with open_house("in-process") as house:
        await house.channel.channel_ready()
        ready = grpc.ChannelConnectivity.READY
        assert house.channel.get_state(try_to_connect=True) is ready
        closing = asyncio.create_task(house.channel.wait_for_state_change(ready))
        await asyncio.sleep(0)
        assert not closing.done()
        await house.channel.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await closing


async def test_request_that_is_no_message_raises_where_it_is_made() -> None:
    async with open_house("in-process") as house:
        with pytest.raises(TypeError):
            await house.stub.GetBalance("not a message")  # type: ignore[arg-type] # on purpose
        assert house.calls_counted("OK") == 0


async def test_context_tells_a_handler_the_same_on_both_channels(house: House) -> None:
    told: dict[str, Any] = {}
    ended: list[object] = []

    def note_end(ctx: Context) -> None:
        ended.append(ctx)

    async def look(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        told.update(
            code=context.code(),
            details=context.details(),
            trailing=tuple(context.trailing_metadata()),
            done=context.done(),
            cancelled=context.cancelled(),
            identities=context.peer_identities(),
            identity_key=context.peer_identity_key(),
            has_peer=bool(context.peer()),
        )
        context.add_done_callback(note_end)  # type: ignore[arg-type] # the stubs name a positional parameter
        context.set_compression(grpc.Compression.NoCompression)
        context.disable_next_message_compression()
        context.set_code(grpc.StatusCode.OK)
        context.set_details("fine")
        told["code_set"] = context.code()
        told["details_set"] = context.details()
        return GetBalanceResponse()

    house.ledger.answer = look
    call = house.stub.GetBalance(GetBalanceRequest())
    await call
    assert told == {
        "code": None,
        "details": "",
        "trailing": (),
        "done": False,
        "cancelled": False,
        "identities": None,
        "identity_key": None,
        "has_peer": True,
        "code_set": grpc.StatusCode.OK,
        "details_set": "fine",
    }
    assert await call.details() == ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ended:  # noqa: ASYNC110 -- the callback is what is waited for
            await asyncio.sleep(0.005)


def test_calls_deadlines_and_cancellation_work_under_uvloop(kind: Kind) -> None:
    async def calls() -> None:
        async with open_house(kind) as house:
            response = await house.stub.GetBalance(GetBalanceRequest(account="a"))
            assert response.balance.account == "a"
            reports = [r async for r in house.stub.VerifyIntegrity(VerifyIntegrityRequest())]
            assert len(reports) == 3
            stopped = asyncio.Event()

            async def linger(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
                try:
                    await asyncio.sleep(PATIENCE_SECONDS)
                finally:
                    stopped.set()
                return GetBalanceResponse()

            house.ledger.answer = linger
            late = house.stub.GetBalance(GetBalanceRequest(), timeout=0.1)
            assert await late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await stopped.wait()

    uvloop.run(calls())
