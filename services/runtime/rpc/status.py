"""The kernel's errors as gRPC statuses, and back.

What travels is the standard google.rpc.Status in the trailing metadata: ErrorInfo (the reason),
BadRequest (the fields), RetryInfo (when to come back) and RequestInfo (what to quote). A service
that calls another gets back the very error that was raised there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError

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

DOMAIN = "switchyard"
DETAILS_KEY = "grpc-status-details-bin"

# gRPC refuses more than 8 KiB of trailing metadata, and the details cross base64-encoded beside
# the message: what is cut here would otherwise lose the whole status.
_MESSAGE_CHARS_MAX = 512
_DETAILS_BYTES_MAX = 4096

_CODES: dict[type[SwitchyardError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Conflict: grpc.StatusCode.ALREADY_EXISTS,
    InFlight: grpc.StatusCode.ABORTED,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Internal: grpc.StatusCode.INTERNAL,
}
_FAMILIES: dict[grpc.StatusCode, type[SwitchyardError]] = {
    **{code: family for family, code in _CODES.items()},
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    # A server that is stopping cancels what it still runs.
    grpc.StatusCode.CANCELLED: Unavailable,
}
# gRPC says RESOURCE_EXHAUSTED of its own two limits as well: calls at a time, and message size.
_SIZE_LIMIT_WORDS = "message larger than max"


class RpcStatus(NamedTuple):
    """A status as a handler's `abort` takes it."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def status_from_error(error: SwitchyardError, request_id: str) -> RpcStatus:
    """The status that tells a caller of the error; an internal one gives nothing of itself away."""
    if isinstance(error, Internal):
        error = Internal(f"internal error, request {request_id}", reason=error.reason)
    code = _CODES[type(error)]
    message = error.message[:_MESSAGE_CHARS_MAX]
    status = status_pb2.Status(code=code.value[0], message=message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.details)
    _pack(status, error_details_pb2.RequestInfo(request_id=request_id))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        _pack(status, retry)
    if status.ByteSize() + info.ByteSize() > _DETAILS_BYTES_MAX // 2:
        info.ClearField("metadata")
    _pack(status, info)
    if error.violations:
        room = _DETAILS_BYTES_MAX - status.ByteSize()
        _pack(status, _bad_request(error.violations, room_bytes=room))
    return RpcStatus(code, message, ((DETAILS_KEY, status.SerializeToString()),))


def _bad_request(
    violations: Sequence[FieldViolation], room_bytes: int
) -> error_details_pb2.BadRequest:
    """As many of the violations as fit, in order."""
    fitting = error_details_pb2.BadRequest()
    for violation in violations:
        fitting.field_violations.add(
            field=violation.field,
            reason=violation.rule,
            description=violation.message[:_MESSAGE_CHARS_MAX],
        )
        if fitting.ByteSize() > room_bytes:
            del fitting.field_violations[-1]
            break
    return fitting


def _pack(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def error_from_rpc(error: AioRpcError) -> SwitchyardError:
    """The error that the other side raised; without details of ours, the nearest of the family."""
    code = error.code()
    family = _FAMILIES.get(code, Internal)
    message = error.details() or code.name
    status = _status_of(error)
    info = error_details_pb2.ErrorInfo()
    retry: timedelta | None = None
    violations: list[FieldViolation] = []
    for detail in status.details if status else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            violations += _violations(detail)
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = _retry_after(detail)
    return family(
        message,
        reason=_reason(info, code, message),
        violations=violations,
        details=dict(info.metadata),
        retry_after=retry,
    )


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise what a stub raises as the kernel's error: `with typed_errors(): await stub.Do(…)`."""
    try:
        yield
    except AioRpcError as error:
        raise error_from_rpc(error) from error


def _status_of(error: AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _reason(
    info: error_details_pb2.ErrorInfo, code: grpc.StatusCode, message: str
) -> Reason | None:
    # A newer server may know reasons that this process does not.
    if info.domain == DOMAIN and info.reason in Reason.__members__:
        return Reason(info.reason)
    if code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return None
    return Reason.MESSAGE_TOO_LARGE if _SIZE_LIMIT_WORDS in message else Reason.QUEUE_FULL


def _violations(detail: AnyMessage) -> list[FieldViolation]:
    bad_request = error_details_pb2.BadRequest()
    detail.Unpack(bad_request)
    return [FieldViolation(v.field, v.reason, v.description) for v in bad_request.field_violations]


def _retry_after(detail: AnyMessage) -> timedelta:
    retry = error_details_pb2.RetryInfo()
    detail.Unpack(retry)
    delay: timedelta = retry.retry_delay.ToTimedelta()
    return delay
