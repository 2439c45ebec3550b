"""Conformance: errors cross as typed statuses, and internals never do."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AbortError, AioRpcError, UsageError
from grpc_status import rpc_status
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    VerifyIntegrityRequest,
    VerifyIntegrityResponse,
)

from services.kernel.errors import (
    Conflict,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InFlight,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    ResourceExhausted,
    SwitchyardError,
    Unauthenticated,
    Unavailable,
)
from services.runtime.rpc import error_from_rpc, typed_errors
from tests.runtime.rpc.house import GET_BALANCE, Context, House, progress, read_into

FAMILY = [
    (InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Conflict, grpc.StatusCode.ALREADY_EXISTS),
    (InFlight, grpc.StatusCode.ABORTED),
    (FailedPrecondition, grpc.StatusCode.FAILED_PRECONDITION),
    (PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
]


def answer_with(house: House, error: BaseException) -> None:
    async def fail(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        raise error

    house.ledger.answer = fail


async def failure_of(house: House, error: BaseException) -> AioRpcError:
    answer_with(house, error)
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest())
    return failure.value


@pytest.mark.parametrize(("family", "code"), FAMILY, ids=lambda value: getattr(value, "name", None))
async def test_error_comes_back_as_it_was_raised(
    house: House, family: type[SwitchyardError], code: grpc.StatusCode
) -> None:
    raised = family(
        "the card wallet is größer than allowed",
        reason=Reason.POLICY_VIOLATED,
        violations=[FieldViolation("amount", "amount.max", "must be at most 100")],
        details={"limit_minor": "100"},
        retry_after=timedelta(seconds=1.5),
    )
    failure = await failure_of(house, raised)
    assert failure.code() is code
    back = error_from_rpc(failure)
    assert type(back) is family
    assert (back.message, back.reason) == (raised.message, raised.reason)
    assert (back.violations, back.details) == (raised.violations, raised.details)
    assert back.retry_after == raised.retry_after


async def test_typed_errors_raise_the_error_of_the_other_side(house: House) -> None:
    answer_with(house, NotFound("no such account"))
    with pytest.raises(NotFound, match="no such account"), typed_errors():
        await house.stub.GetBalance(GetBalanceRequest())


async def test_details_are_standard_ones_that_any_client_reads(house: House) -> None:
    failure = await failure_of(house, NotFound("no such account", details={"account": "cash"}))
    (raw,) = [v for k, v in failure.trailing_metadata() if k == "grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert any(detail.Unpack(request_info) for detail in status.details)
    assert (status.code, status.message) == (5, "no such account")
    assert (info.reason, info.domain) == ("NOT_FOUND", "switchyard")
    assert dict(info.metadata) == {"account": "cash"}
    assert request_info.request_id.startswith("req_")


@pytest.mark.parametrize("error", [KeyError("s3cret"), Internal("s3cret"), TimeoutError("s3cret")])
async def test_unexpected_error_gives_a_request_id_and_no_internals(
    house: House, error: BaseException
) -> None:
    failure = await failure_of(house, error)
    assert failure.code() is grpc.StatusCode.INTERNAL
    (line,) = house.call_lines()
    assert failure.details() == f"internal error, request {line['request_id']}"
    assert "s3cret" not in repr(failure) + repr(failure.trailing_metadata())
    assert line["level"] == "error"
    assert "s3cret" in line["exception"]
    assert "Traceback" in line["exception"]


async def test_stray_cancellation_inside_a_handler_is_an_internal_error(house: House) -> None:
    failure = await failure_of(house, asyncio.CancelledError())
    assert failure.code() is grpc.StatusCode.INTERNAL


async def test_handler_that_returns_no_message_is_an_internal_error(house: House) -> None:
    async def nothing(_: GetBalanceRequest, __: Context) -> GetBalanceResponse:
        return None  # type: ignore[return-value] # the mistake under test

    house.ledger.answer = nothing
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest())
    assert failure.value.code() is grpc.StatusCode.INTERNAL


async def test_malformed_request_is_named_so_and_logs_no_traceback(house: House) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await house.channel.unary_unary(GET_BALANCE, bytes, bytes)(b"\xff\xff\xff")
    assert refusal.value.reason is Reason.BODY_MALFORMED
    assert [line["level"] for line in house.call_lines()] == ["info"]


async def test_more_violations_than_fit_are_cut_and_not_the_status(house: House) -> None:
    many = [FieldViolation(f"lines[{n}]", "line.balanced", "ä" * 300) for n in range(1000)]
    failure = await failure_of(
        house,
        InvalidArgument(
            "x" * 5000, violations=many, details={"big": "y" * 5000}, retry_after=timedelta(hours=1)
        ),
    )
    back = error_from_rpc(failure)
    assert isinstance(back, InvalidArgument)
    assert back.reason is Reason.INVALID_ARGUMENT
    assert back.retry_after == timedelta(hours=1)
    assert 0 < len(back.violations) < 1000
    assert back.violations == tuple(many[: len(back.violations)])


async def test_abort_ends_the_call_and_the_handler(house: House) -> None:
    ended_by: list[BaseException] = []

    async def give_up(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        try:
            await context.abort(grpc.StatusCode.DATA_LOSS, "gone", (("why", "fire"),))
        except AbortError as error:
            ended_by.append(error)
            raise

    house.ledger.answer = give_up
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest())
    assert (failure.value.code(), failure.value.details()) == (grpc.StatusCode.DATA_LOSS, "gone")
    assert failure.value.trailing_metadata()["why"] == "fire"
    # The caller hears of it before the handler has ended.
    await house.until_counted("DATA_LOSS")
    assert len(ended_by) == 1


async def test_handler_that_swallows_its_abort_cannot_take_it_back(house: House) -> None:
    refused: list[BaseException] = []

    async def swallow(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        for _attempt in range(2):
            try:
                await context.abort(grpc.StatusCode.DATA_LOSS, "gone")
            except (AbortError, UsageError) as error:
                refused.append(error)
        return GetBalanceResponse()

    house.ledger.answer = swallow
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest())
    assert failure.value.details() == "gone"
    await house.until_counted("DATA_LOSS")
    assert [type(error) for error in refused] == [AbortError, UsageError]


async def test_abort_with_a_ready_made_status_sends_it(house: House) -> None:
    async def give_up(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="no such")
        await context.abort_with_status(rpc_status.to_status(status))

    house.ledger.answer = give_up
    with pytest.raises(NotFound, match="no such"), typed_errors():
        await house.stub.GetBalance(GetBalanceRequest())


async def test_code_set_without_an_exception_is_the_status(house: House) -> None:
    async def mark(_: GetBalanceRequest, context: Context) -> GetBalanceResponse:
        context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        context.set_details("beyond the end")
        return GetBalanceResponse()

    house.ledger.answer = mark
    with pytest.raises(AioRpcError) as failure:
        await house.stub.GetBalance(GetBalanceRequest())
    assert failure.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert failure.value.details() == "beyond the end"
    assert house.calls_counted("OUT_OF_RANGE") == 1


async def test_stream_that_fails_midway_gives_its_messages_and_then_the_error(house: House) -> None:
    async def break_off(
        _: VerifyIntegrityRequest, __: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        yield progress(0)
        yield progress(1)
        raise Unavailable("the disk is gone", retry_after=timedelta(seconds=3))

    house.ledger.report = break_off
    seen: list[VerifyIntegrityResponse] = []
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
    with pytest.raises(Unavailable, match="the disk is gone") as failure, typed_errors():
        await read_into(seen, call)
    assert seen == [progress(0), progress(1)]
    assert failure.value.retry_after == timedelta(seconds=3)
    assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_abort_within_a_stream_is_its_status(house: House) -> None:
    async def give_up(
        _: VerifyIntegrityRequest, context: Context
    ) -> AsyncIterator[VerifyIntegrityResponse]:
        yield progress(0)
        await context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    house.ledger.report = give_up
    call = house.stub.VerifyIntegrity(VerifyIntegrityRequest())
    assert await call.read() == progress(0)
    with pytest.raises(AioRpcError) as failure:
        await call.read()
    assert failure.value.details() == "gone"


@pytest.mark.parametrize(
    ("code", "details", "family", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "connection refused", Unavailable, None),
        (grpc.StatusCode.CANCELLED, "", Unavailable, None),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineExceeded, None),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", Internal, None),
        (grpc.StatusCode.UNKNOWN, None, Internal, None),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Concurrent RPC limit exceeded!",
            ResourceExhausted,
            Reason.QUEUE_FULL,
        ),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "SERVER: Received message larger than max (9 vs. 8)",
            ResourceExhausted,
            Reason.MESSAGE_TOO_LARGE,
        ),
    ],
)
def test_status_without_details_becomes_the_nearest_error(
    code: grpc.StatusCode, details: str | None, family: type[SwitchyardError], reason: Reason | None
) -> None:
    back = error_from_rpc(AioRpcError(code, details=details))
    assert type(back) is family
    assert back.reason is (reason or family.default_reason)


def test_details_that_cannot_be_read_are_passed_over() -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    back = error_from_rpc(AioRpcError(grpc.StatusCode.NOT_FOUND, trailing_metadata=metadata))
    assert isinstance(back, NotFound)


def test_reason_of_a_newer_server_becomes_the_default() -> None:
    status = status_pb2.Status(code=5, message="no")
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="NOT_INVENTED", domain="switchyard")
    )
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    back = error_from_rpc(
        AioRpcError(grpc.StatusCode.NOT_FOUND, trailing_metadata=metadata, details="no")
    )
    assert back.reason is Reason.NOT_FOUND
