"""Conformance: streams are read alike on both channels, to their end or to their limit."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc.aio import EOF, AioRpcError, UsageError
from payments.ledger.v1.ledger_service_pb2 import VerifyIntegrityRequest, VerifyIntegrityResponse

from tests.runtime.rpc.house import PATIENCE_SECONDS, Context, House, progress, read_into


async def test_stream_is_read_in_order_to_its_end(house: House) -> None:
    reports = [r async for r in house.stub.VerifyIntegrity(VerifyIntegrityRequest())]
    assert reports == [progress(0), progress(1), progress(2)]


async def test_stream_is_read_message_by_message(house: House) -> None:
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
    assert [await call.read() for _ in range(3)] == [progress(n) for n in range(3)]
    assert await call.read() is EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_stream_tells_how_it_stands(house: House) -> None:
    called: list[object] = []
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest(), timeout=PATIENCE_SECONDS)
    call.add_done_callback(called.append)
    left_seconds = call.time_remaining()
    assert left_seconds is not None
    assert 0 < left_seconds <= PATIENCE_SECONDS
    assert not call.done()
    await call.wait_for_connection()
    assert [await call.read() for _ in range(3)] == [progress(n) for n in range(3)]
    assert await call.read() is EOF
    assert (await call.code(), await call.details()) == (grpc.StatusCode.OK, "")
    assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)
    assert len(called) == 1


async def test_stream_is_not_both_read_and_iterated(house: House) -> None:
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
    await call.read()
    with pytest.raises(UsageError):
        aiter(call)


async def test_long_stream_loses_nothing(house: House) -> None:
    async def thousand(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        for number in range(1000):
            yield progress(number)

    house.ledger.report = thousand
    reports = [r async for r in house.stub.VerifyIntegrity(VerifyIntegrityRequest())]
    assert reports == [progress(n) for n in range(1000)]


async def test_empty_stream_ends_at_once(house: House) -> None:
    async def nothing(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        for report in list[VerifyIntegrityResponse]():
            yield report

    house.ledger.report = nothing
    assert [r async for r in house.stub.VerifyIntegrity(VerifyIntegrityRequest())] == []


async def test_stream_message_over_the_limit_ends_the_stream_and_its_handler(house: House) -> None:
    ended = asyncio.Event()

    async def grow(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        try:
            yield progress(0)
            too_much = VerifyIntegrityResponse()
            too_much.verdict.findings.add().message = "x" * 64 * 1024
            yield too_much
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            ended.set()

    house.ledger.report = grow
    seen: list[VerifyIntegrityResponse] = []
    with pytest.raises(AioRpcError) as refusal:
        await read_into(seen, house.stub.VerifyIntegrity(VerifyIntegrityRequest()))
    assert seen == [progress(0)]
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ended.wait()
