"""Conformance: a caller that goes away is heard of by the handler, and shielded work goes on."""

import asyncio
import gc
from collections.abc import AsyncIterator

import grpc
import pytest
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    VerifyIntegrityRequest,
    VerifyIntegrityResponse,
)

from tests.runtime.rpc.house import PATIENCE_SECONDS, Context, House, progress


class Lingering:
    """A handler of either kind that waits until it is stopped, and says so."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def answer(self, _: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        self.arrived.set()
        try:
            await asyncio.sleep(PATIENCE_SECONDS * 2)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return GetBalanceResponse()

    async def report(
        self, _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        number = 0
        try:
            while True:
                yield progress(number)
                number += 1
                await asyncio.sleep(0.005)
        finally:
            self.cancelled.set()


@pytest.fixture
def lingering(house: House) -> Lingering:
    handler = Lingering()
    house.ledger.answer = handler.answer
    house.ledger.report = handler.report
    return handler


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


async def test_cancelled_task_of_the_caller_cancels_the_handler(
    house: House, lingering: Lingering
) -> None:
    async def call() -> None:
        await house.stub.GetBalance(GetBalanceRequest())

    caller = asyncio.create_task(call())
    await soon(lingering.arrived)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await soon(lingering.cancelled)


async def test_cancelled_call_cancels_the_handler(house: House, lingering: Lingering) -> None:
    call = house.stub.GetBalance(GetBalanceRequest())
    await soon(lingering.arrived)
    assert call.cancel()
    assert not call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    assert call.done()
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert await call.details() == "Locally cancelled by application!"
    assert list(await call.trailing_metadata()) == []
    await soon(lingering.cancelled)


async def test_cancellation_is_counted_as_one_and_logged_as_no_fault(
    house: House, lingering: Lingering
) -> None:
    call = house.stub.GetBalance(GetBalanceRequest())
    await soon(lingering.arrived)
    call.cancel()
    await house.until_counted("CANCELLED")
    (line,) = house.call_lines()
    assert (line["code"], line["level"]) == ("CANCELLED", "info")


async def test_call_cancelled_before_it_began_raises_and_hangs_nobody(house: House) -> None:
    call = house.stub.GetBalance(GetBalanceRequest())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (
        await house.stub.GetBalance(GetBalanceRequest(account="next"))
    ).balance.account == "next"


async def test_shielded_work_of_a_cancelled_handler_goes_on(house: House) -> None:
    arrived, go_on, committed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def commit() -> None:
        arrived.set()
        await go_on.wait()
        committed.set()

    async def pay(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        await asyncio.shield(asyncio.create_task(commit()))
        return GetBalanceResponse()

    house.ledger.answer = pay
    call = house.stub.GetBalance(GetBalanceRequest())
    await soon(arrived)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await house.until_counted("CANCELLED")
    go_on.set()
    await soon(committed)


async def test_iteration_broken_off_early_stops_the_handler(
    house: House, lingering: Lingering
) -> None:
    async for report in house.stub.VerifyIntegrity(VerifyIntegrityRequest()):
        if report == progress(2):
            break
    gc.collect()
    await soon(lingering.cancelled)


async def test_cancelled_stream_stops_the_handler_and_raises(
    house: House, lingering: Lingering
) -> None:
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
    assert await call.read() == progress(0)
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert await call.code() is grpc.StatusCode.CANCELLED
    await soon(lingering.cancelled)


async def test_reader_cancelled_while_it_waits_stops_the_handler(house: House) -> None:
    waiting, stopped = asyncio.Event(), asyncio.Event()

    async def silent(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        try:
            waiting.set()
            await asyncio.sleep(PATIENCE_SECONDS * 2)
            yield progress(0)
        finally:
            stopped.set()

    house.ledger.report = silent

    async def read_all() -> None:
        async for _ in house.stub.VerifyIntegrity(VerifyIntegrityRequest()):
            pass

    reader = asyncio.create_task(read_all())
    await soon(waiting)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await soon(stopped)
