"""Conformance: metadata crosses in both directions, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from grpc.aio import AioRpcError, Metadata, UsageError
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    VerifyIntegrityRequest,
    VerifyIntegrityResponse,
)

from services.kernel.errors import NotFound
from tests.runtime.rpc.house import PATIENCE_SECONDS, Context, House, progress


async def test_handler_reads_what_the_caller_sends(house: House) -> None:
    seen: list[tuple[str, str | bytes]] = []

    async def look(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        seen.extend((str(key), value) for key, value in context.invocation_metadata() or ())
        return GetBalanceResponse()

    house.ledger.answer = look
    sent = (("tag", "one"), ("tag", "two"), ("raw-bin", b"\x00\xff"))
    await house.stub.GetBalance(GetBalanceRequest(), metadata=sent)
    assert [pair for pair in seen if pair[0] in {"tag", "raw-bin"}] == list(sent)


async def test_metadata_object_is_taken_as_pairs_are(house: House) -> None:
    seen: list[str | bytes] = []

    async def look(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        seen.extend(value for key, value in context.invocation_metadata() or () if key == "tag")
        return GetBalanceResponse()

    house.ledger.answer = look
    await house.stub.GetBalance(GetBalanceRequest(), metadata=Metadata(("tag", "one")))
    assert seen == ["one"]


async def test_caller_reads_headers_before_the_answer_and_trailers_after(house: House) -> None:
    go_on = asyncio.Event()

    async def tell(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        await context.send_initial_metadata((("early", "yes"),))
        context.set_trailing_metadata((("late", "yes"), ("raw-bin", b"\x01")))
        await go_on.wait()
        return GetBalanceResponse()

    house.ledger.answer = tell
    call = house.stub.GetBalance(GetBalanceRequest())
    if house.kind == "in-process":
        # The network's unary call hands its headers over with the response.
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await call.initial_metadata())["early"] == "yes"
    go_on.set()
    await call
    assert (await call.initial_metadata())["early"] == "yes"
    trailing = await call.trailing_metadata()
    assert (trailing["late"], trailing["raw-bin"]) == ("yes", b"\x01")


async def test_stream_hands_over_its_headers_ahead_of_its_messages(house: House) -> None:
    go_on = asyncio.Event()

    async def tell(
        _: VerifyIntegrityRequest, context: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        await context.send_initial_metadata((("early", "yes"),))
        await go_on.wait()
        yield progress(0)
        context.set_trailing_metadata((("late", "yes"),))

    house.ledger.report = tell
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await call.initial_metadata())["early"] == "yes"
    go_on.set()
    assert [report async for report in call] == [progress(0)]
    assert (await call.trailing_metadata())["late"] == "yes"


async def test_call_that_says_nothing_has_empty_metadata(house: House) -> None:
    call = house.stub.GetBalance(GetBalanceRequest())
    await call
    assert list(await call.initial_metadata()) == []
    assert list(await call.trailing_metadata()) == []


async def test_headers_are_sent_once(house: House) -> None:
    refused: list[UsageError] = []

    async def twice(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        await context.send_initial_metadata((("early", "yes"),))
        try:
            await context.send_initial_metadata((("early", "again"),))
        except UsageError as error:
            refused.append(error)
        return GetBalanceResponse()

    house.ledger.answer = twice
    call = house.stub.GetBalance(GetBalanceRequest())
    await call
    assert len(refused) == 1
    assert (await call.initial_metadata())["early"] == "yes"


async def test_error_keeps_the_trailers_that_were_set_before_it(house: House) -> None:
    async def fail(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        await context.send_initial_metadata((("early", "yes"),))
        context.set_trailing_metadata((("late", "yes"),))
        raise NotFound("no such account")

    house.ledger.answer = fail
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest())
    assert failure.value.initial_metadata()["early"] == "yes"
    assert failure.value.trailing_metadata()["late"] == "yes"
    assert "grpc-status-details-bin" in failure.value.trailing_metadata()


@pytest.mark.parametrize(
    "pair",
    [("Upper", "x"), ("raw-bin", "text"), ("tag", "line\nbreak"), ("tag", "grün"), ("", "x")],
)
async def test_metadata_that_cannot_be_sent_is_refused(house: House, pair: tuple[str, str]) -> None:
    # The network raises an internal type of gRPC's here; that it raises is what both share.
    with pytest.raises(Exception, match=r".+") as refusal:
        await house.stub.GetBalance(GetBalanceRequest(), metadata=(pair,))
    assert not isinstance(refusal.value, AioRpcError)
