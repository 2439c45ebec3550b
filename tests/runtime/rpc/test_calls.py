"""Conformance: answers and the messages that carry them are the same on both channels."""

import asyncio
from contextvars import ContextVar

import grpc
import pytest
from grpc.aio import AioRpcError, UsageError
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    ListEntriesRequest,
)

from tests.runtime.rpc.house import GET_BALANCE, PATIENCE_SECONDS, Context, House, balance_of

_shared: ContextVar[str] = ContextVar("shared", default="untouched")


async def test_unary_call_returns_the_response(house: House) -> None:
    response = await house.stub.GetBalance(GetBalanceRequest(account="cash"))
    assert response.balance.account == "cash"


async def test_call_tells_of_its_success(house: House) -> None:
    call = house.stub.GetBalance(GetBalanceRequest())
    await call
    assert (await call.code(), await call.details()) == (grpc.StatusCode.OK, "")
    assert call.done()
    assert not call.cancelled()
    assert not call.cancel()


async def test_call_may_be_awaited_twice(house: House) -> None:
    call = house.stub.GetBalance(GetBalanceRequest(account="cash"))
    assert await call == await call


async def test_method_the_servicer_left_out_is_unimplemented(house: House) -> None:
    with pytest.raises(AioRpcError) as refusal:
        await house.stub.ListEntries(ListEntriesRequest())
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_method_nobody_serves_is_unimplemented(house: House) -> None:
    call = house.channel.unary_unary("/payments.ledger.v1.LedgerService/Burn", bytes, bytes)
    with pytest.raises(AioRpcError) as refusal:
        await call(b"")
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert refusal.value.details() == "Method not found!"


async def test_handler_that_changes_its_request_does_not_change_the_callers(house: House) -> None:
    async def scribble(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        request.account = "scribbled"
        return balance_of(request.account)

    house.ledger.answer = scribble
    request = GetBalanceRequest(account="cash")
    await house.stub.GetBalance(request)
    assert request.account == "cash"


async def test_caller_that_changes_the_request_later_does_not_change_the_handlers(
    house: House,
) -> None:
    arrived, changed = asyncio.Event(), asyncio.Event()

    async def wait_and_echo(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        arrived.set()
        await changed.wait()
        return balance_of(request.account)

    house.ledger.answer = wait_and_echo
    request = GetBalanceRequest(account="cash")
    call = house.stub.GetBalance(request)
    await arrived.wait()
    request.account = "changed"
    changed.set()
    assert (await call).balance.account == "cash"


async def test_handler_that_keeps_its_response_does_not_share_it(house: House) -> None:
    kept = balance_of("kept")

    async def same(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        return kept

    house.ledger.answer = same
    first = await house.stub.GetBalance(GetBalanceRequest())
    first.balance.account = "scribbled"
    assert (await house.stub.GetBalance(GetBalanceRequest())).balance.account == "kept"


async def test_context_variable_of_the_caller_does_not_reach_the_handler(house: House) -> None:
    async def tell(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        return balance_of(_shared.get())

    house.ledger.answer = tell
    _shared.set("the caller's")
    assert (await house.stub.GetBalance(GetBalanceRequest())).balance.account == "untouched"


async def test_context_variable_of_the_handler_reaches_nobody(house: House) -> None:
    async def leak(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        before = _shared.get()
        _shared.set("the handler's")
        return balance_of(before)

    house.ledger.answer = leak
    for _ in range(2):
        response = await house.stub.GetBalance(GetBalanceRequest())
        assert response.balance.account == "untouched"
    assert _shared.get() == "untouched"


async def test_concurrent_calls_each_get_their_own_answer(house: House) -> None:
    waiting = asyncio.Barrier(50)

    async def all_at_once(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        await waiting.wait()
        return balance_of(request.account)

    house.ledger.answer = all_at_once
    accounts = [f"account:{n}" for n in range(50)]
    calls = [house.stub.GetBalance(GetBalanceRequest(account=a)) for a in accounts]
    async with asyncio.timeout(PATIENCE_SECONDS):
        responses = await asyncio.gather(*calls)
    assert [r.balance.account for r in responses] == accounts


async def test_request_over_the_limit_never_reaches_the_handler(house: House) -> None:
    reached = False

    async def note(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        nonlocal reached
        reached = True
        return GetBalanceResponse()

    house.ledger.answer = note
    request = GetBalanceRequest(account="x" * 64 * 1024)
    with pytest.raises(AioRpcError) as refusal:
        await house.stub.GetBalance(request)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    size = request.ByteSize()
    assert refusal.value.details() == f"SERVER: Received message larger than max ({size} vs. 65536)"
    assert not reached


async def test_response_over_the_limit_is_refused(house: House) -> None:
    async def too_much(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        return balance_of("x" * 64 * 1024)

    house.ledger.answer = too_much
    with pytest.raises(AioRpcError) as refusal:
        await house.stub.GetBalance(GetBalanceRequest())
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "CLIENT: Received message larger than max" in (refusal.value.details() or "")


async def test_bytes_that_are_no_message_are_refused_by_name(house: House) -> None:
    call = house.channel.unary_unary(GET_BALANCE, bytes, bytes)
    with pytest.raises(AioRpcError) as refusal:
        await call(b"\xff\xff\xff")
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_done_callback_is_called_once_with_the_call(house: House) -> None:
    called: list[object] = []
    done = asyncio.Event()
    call = house.stub.GetBalance(GetBalanceRequest())
    call.add_done_callback(called.append)
    call.add_done_callback(lambda _: done.set())
    await call
    await done.wait()
    assert called == [call]


async def test_closed_channel_takes_no_calls_and_cancels_those_running(house: House) -> None:
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def linger(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        arrived.set()
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            ended.set()
        return GetBalanceResponse()

    house.ledger.answer = linger
    running = house.stub.GetBalance(GetBalanceRequest())
    await arrived.wait()
    await house.channel.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ended.wait()
    with pytest.raises(UsageError, match=r"Channel is closed\."):
        await house.stub.GetBalance(GetBalanceRequest())
    assert house.channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_closing_with_grace_lets_a_running_call_end(house: House) -> None:
    arrived = asyncio.Event()
    go_on = asyncio.Event()

    async def linger(request: GetBalanceRequest, _: Context) -> GetBalanceResponse:
        arrived.set()
        await go_on.wait()
        return balance_of(request.account)

    house.ledger.answer = linger
    running = asyncio.ensure_future(house.stub.GetBalance(GetBalanceRequest(account="late")))
    await arrived.wait()
    closing = asyncio.create_task(house.channel.close(PATIENCE_SECONDS))
    await asyncio.sleep(0)
    go_on.set()
    assert (await running).balance.account == "late"
    await closing
