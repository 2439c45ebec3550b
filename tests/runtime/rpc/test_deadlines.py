"""Conformance: every call has a deadline, both sides keep to it, and nested calls inherit it."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc.aio import AioRpcError
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    VerifyIntegrityRequest,
    VerifyIntegrityResponse,
)

from services.kernel.errors import DeadlineExceeded, InvalidArgument, Reason
from services.runtime.rpc import typed_errors
from tests.runtime.rpc.house import PATIENCE_SECONDS, TOKEN, Context, House, progress

BEARER = (("authorization", f"Bearer {TOKEN}"),)


async def test_unary_call_without_a_deadline_is_refused(house: House) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await house.bare_stub.GetBalance(GetBalanceRequest(), metadata=BEARER)
    assert refusal.value.reason is Reason.DEADLINE_REQUIRED


async def test_stream_without_a_deadline_is_refused(house: House) -> None:
    call = house.bare_stub.VerifyIntegrity(VerifyIntegrityRequest(), metadata=BEARER)
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await call.read()
    assert refusal.value.reason is Reason.DEADLINE_REQUIRED


async def test_call_with_a_deadline_of_its_own_is_let_in(house: House) -> None:
    await house.bare_stub.GetBalance(GetBalanceRequest(), metadata=BEARER, timeout=PATIENCE_SECONDS)


async def test_handler_sees_what_time_it_has_left(house: House) -> None:
    left_seconds: list[float] = []

    async def look(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        left_seconds.append(context.time_remaining())
        return GetBalanceResponse()

    house.ledger.answer = look
    await house.stub.GetBalance(GetBalanceRequest(), timeout=100)
    assert 100 - PATIENCE_SECONDS < left_seconds[0] <= 101  # gRPC rounds long timeouts up


async def test_call_without_a_timeout_gets_the_channels_default(house: House) -> None:
    call = house.stub.GetBalance(GetBalanceRequest())
    left_seconds = call.time_remaining()
    await call
    assert left_seconds is not None
    assert 30 - PATIENCE_SECONDS < left_seconds <= 30


async def test_deadline_that_passes_ends_the_call_and_stops_the_handler(house: House) -> None:
    stopped = asyncio.Event()

    async def too_slow(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        try:
            await asyncio.sleep(PATIENCE_SECONDS * 2)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return GetBalanceResponse()

    house.ledger.answer = too_slow
    started_at = time.monotonic()
    call = house.stub.GetBalance(GetBalanceRequest(), timeout=0.2)
    with pytest.raises(AioRpcError) as failure:
        await call
    assert 0.15 < time.monotonic() - started_at < PATIENCE_SECONDS
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failure.value.details() == "Deadline Exceeded"
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stopped.wait()
    await house.until_counted("DEADLINE_EXCEEDED")


async def test_deadline_ends_a_stream_that_stalls(house: House) -> None:
    stopped = asyncio.Event()

    async def stall(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        try:
            yield progress(0)
            await asyncio.sleep(PATIENCE_SECONDS * 2)
        finally:
            stopped.set()

    house.ledger.report = stall
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest(), timeout=1)
    assert await call.read() == progress(0)
    with pytest.raises(AioRpcError) as failure:
        await call.read()
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stopped.wait()


async def test_handler_that_ignores_its_cancellation_does_not_hold_up_the_caller(
    house: House,
) -> None:
    finished = asyncio.Event()

    async def stubborn(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        try:
            await asyncio.sleep(PATIENCE_SECONDS)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
        finished.set()
        return GetBalanceResponse()

    house.ledger.answer = stubborn
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest(), timeout=0.1)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(PATIENCE_SECONDS):
        await finished.wait()


async def test_nested_call_without_a_timeout_has_what_the_outer_call_has_left(house: House) -> None:
    left_seconds: list[float] = []

    async def nest(request: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        left_seconds.append(context.time_remaining())
        if request.account != "inner":
            return await house.stub.GetBalance(GetBalanceRequest(account="inner"))
        return GetBalanceResponse()

    house.ledger.answer = nest
    await house.stub.GetBalance(GetBalanceRequest(account="outer"), timeout=10)
    assert left_seconds[1] < 15, "the default of 30 seconds was cut to what was left of 10"


async def test_nested_call_with_a_timeout_of_its_own_keeps_it(house: House) -> None:
    left_seconds: list[float] = []

    async def nest(request: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        left_seconds.append(context.time_remaining())
        if request.account != "inner":
            inner = GetBalanceRequest(account="inner")
            return await house.stub.GetBalance(inner, timeout=1000)
        return GetBalanceResponse()

    house.ledger.answer = nest
    await house.stub.GetBalance(GetBalanceRequest(account="outer"), timeout=PATIENCE_SECONDS)
    assert left_seconds[1] > PATIENCE_SECONDS


async def test_handler_that_times_out_at_the_deadline_exceeded_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise TimeoutError

    # However near the deadline is taken to be, the caller must not get there first.
    monkeypatch.setattr("services.runtime.rpc.middleware._DEADLINE_MARGIN_SECONDS", 1000)
    house.ledger.answer = give_up
    with pytest.raises(DeadlineExceeded, match="before there was an answer"), typed_errors():
        await house.stub.GetBalance(GetBalanceRequest())
