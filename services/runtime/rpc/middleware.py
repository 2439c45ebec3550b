"""What happens around every handler, on the network and in process alike.

From the outside in, and why in this order:
  1. request id: everything below names it, refusals included;
  2. span: covers all the rest, so that a refusal is seen in the trace;
  3. metrics and the log line: outside the errors, since they tell of the code that was sent;
  4. errors: outside whatever may refuse, since a refusal is an error like any other;
  5. the gate, then the token, then the deadline, then the request itself: a server that is going
     away says so first, and only who may call learns how to call well.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

import grpc
import structlog
from grpc.aio import AbortError
from opentelemetry.trace import Span

from services.kernel.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Reason,
    SwitchyardError,
    Unauthenticated,
)
from services.kernel.ids import RequestId
from services.kernel.redaction import redact_text
from services.runtime.rpc.behaviour import (
    forgiving_parser,
    stream_response,
    subjects_of,
    unary_response,
)
from services.runtime.rpc.deadline import begin_deadline
from services.runtime.rpc.gate import Gate
from services.runtime.rpc.in_process.context import InProcessContext
from services.runtime.rpc.method import Context, Respond, RpcHandler, ServedMethod
from services.runtime.rpc.status import RpcStatus, status_from_error
from services.runtime.telemetry import Telemetry, begin_context
from services.runtime.telemetry.tracing import mark_failed

HEALTH_SERVICE = "grpc.health.v1.Health"
REQUEST_ID_KEY = "x-request-id"
TRACEPARENT_KEY = "traceparent"
AUTHORIZATION_KEY = "authorization"

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_SUBJECT = re.compile(r"[a-z]{2,6}_[0-9a-f]{32}", re.ASCII)
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.:\[\] -]", re.ASCII)
# Ids are half as long; what a caller sends in their place need not fill logs and traces.
_SUBJECT_CHARS_MAX = 80
# A client that gives up at its deadline is heard of a little before the server's own clock says so.
_DEADLINE_MARGIN_SECONDS = 0.05
_TROUBLE_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_FAULT_CODES = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})


@dataclass(frozen=True, slots=True)
class _Method:
    service: str
    name: str
    path: str
    is_exempt: bool
    subjects: tuple[str, ...]


@dataclass(slots=True)
class _Call:
    """One call on its way through."""

    method: _Method
    headers: Mapping[str, str | bytes]
    started_at: float
    request_id: str = ""
    span: Span | None = None
    is_inside_gate: bool = False
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str | None = None
    fault: BaseException | None = None


class Middleware:
    """Wraps handlers; one for all the services of a process."""

    def __init__(self, telemetry: Telemetry, *, token: str | None = None) -> None:
        """`token` is what network callers must show; without one, no network call is let in."""
        self._telemetry = telemetry
        self._authorization = f"Bearer {token}".encode() if token else None
        self._log = structlog.get_logger().bind()
        self.gate = Gate()

    def wrap(self, service: str, name: str, handler: RpcHandler) -> ServedMethod:
        """The same handler with all of the above around it."""
        parse, serialize = handler.request_deserializer, handler.response_serializer
        if handler.request_streaming or parse is None or serialize is None:
            raise ValueError(f"{service}/{name} must take one protobuf message, not a stream")
        method = _Method(
            service=service,
            name=name,
            path=f"{service}/{name}",
            is_exempt=service == HEALTH_SERVICE,
            subjects=subjects_of(parse),
        )
        respond = (
            stream_response(method.path, handler.unary_stream)
            if handler.response_streaming
            else unary_response(method.path, handler.unary_unary)
        )

        # grpc.aio tells handlers apart by inspecting them: this must be a plain coroutine function.
        async def serve(request: object, context: Context) -> object:
            return await self._serve(method, respond, request, context)

        return ServedMethod(serve, handler.response_streaming, forgiving_parser(parse), serialize)

    async def _serve(
        self, method: _Method, respond: Respond, request: object, context: Context
    ) -> object:
        call = _Call(method, _headers_of(context), time.perf_counter())
        if not method.is_exempt:
            self._introduce(call, request, context.time_remaining())
        try:
            self._admit(call, request, context)
            response = await respond(request, context)
            call.code = _code_of(context)
        except BaseException as error:
            status = self._judge(call, error, context)
            # What is recorded is there by the time the caller knows of it.
            self._conclude(call)
            if status is not None:
                trailing = tuple(context.trailing_metadata()) + status.trailing_metadata
                await context.abort(status.code, status.message, trailing)
            raise
        self._conclude(call)
        return response

    def _introduce(self, call: _Call, request: object, remaining_seconds: float | None) -> None:
        """Give the call its id, its words for the logs, and its span."""
        method = call.method
        call.request_id = _request_id(call.headers.get(REQUEST_ID_KEY))
        words = {"request_id": call.request_id}
        for subject in method.subjects if request is not None else ():
            if value := getattr(request, subject):
                words[subject] = _subject(value)
        begin_context(service=method.service, method=method.name, **words)
        begin_deadline(remaining_seconds)
        parent = call.headers.get(TRACEPARENT_KEY)
        call.span = self._telemetry.tracing.enter_call(
            method.path, parent if isinstance(parent, str) else None, words
        )

    def _admit(self, call: _Call, request: object, context: Context) -> None:
        if not call.method.is_exempt:
            # The in-process channel is this process calling itself.
            if not isinstance(context, InProcessContext):
                self.gate.enter()
                call.is_inside_gate = True
                self._authenticate(call.headers.get(AUTHORIZATION_KEY))
            if context.time_remaining() is None:
                raise InvalidArgument(
                    "the call has no deadline; send one (`timeout=`, `buf curl --timeout`)",
                    reason=Reason.DEADLINE_REQUIRED,
                )
        if request is None:
            raise InvalidArgument(
                "the request is not a message of the type this method takes",
                reason=Reason.BODY_MALFORMED,
            )

    def _authenticate(self, shown: str | bytes | None) -> None:
        if self._authorization is None or shown is None:
            raise Unauthenticated("show the service token as `authorization: Bearer <token>`")
        shown = shown if isinstance(shown, bytes) else shown.encode()
        if not compare_digest(shown, self._authorization):
            raise Unauthenticated("the service token is not the right one")

    def _judge(self, call: _Call, error: BaseException, context: Context) -> RpcStatus | None:
        """The status to answer an error with; None if it is to go on as it is."""
        if isinstance(error, AbortError):
            call.code = _code_of(context)
            return None
        if isinstance(error, asyncio.CancelledError) and _is_this_task_cancelled():
            late = _is_late(context)
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            return None
        if not isinstance(error, Exception | asyncio.CancelledError):
            call.code = grpc.StatusCode.UNKNOWN
            return None
        typed = _typed(error, context)
        if isinstance(typed, Internal):
            call.fault = error
        status = status_from_error(typed, call.request_id)
        call.code, call.reason = status.code, typed.reason
        return status

    def _conclude(self, call: _Call) -> None:
        """Count, log and end the span."""
        method = call.method
        if call.is_inside_gate:
            self.gate.leave()
        duration_seconds = time.perf_counter() - call.started_at
        self._telemetry.calls.observe(method.service, method.name, call.code.name, duration_seconds)
        if not method.is_exempt or call.code in _FAULT_CODES:
            self._report(call, duration_seconds)
        if call.span is not None:
            if call.code is not grpc.StatusCode.OK:
                mark_failed(call.span, call.code.name)
            call.span.end()

    def _report(self, call: _Call, duration_seconds: float) -> None:
        if call.code is grpc.StatusCode.OK:
            if not self._log.is_enabled_for(logging.DEBUG):
                return
            write = self._log.debug
        elif call.code in _FAULT_CODES:
            write = self._log.error
        elif call.code in _TROUBLE_CODES:
            write = self._log.warning
        else:
            write = self._log.info
        outcome: dict[str, object] = {"reason": call.reason} if call.reason else {}
        if call.fault is not None:
            outcome["exc_info"] = call.fault
        write(
            "call answered",
            code=call.code.name,
            duration_ms=round(duration_seconds * 1000, 3),
            **outcome,
        )


def _headers_of(context: Context) -> Mapping[str, str | bytes]:
    pairs: Any = context.invocation_metadata()
    return dict(pairs)


def _code_of(context: Context) -> grpc.StatusCode:
    code: Any = context.code()
    return code or grpc.StatusCode.OK


def _request_id(shown: str | bytes | None) -> str:
    if isinstance(shown, str) and _REQUEST_ID.fullmatch(shown) and redact_text(shown) == shown:
        return shown
    return RequestId.new()


def _subject(value: str) -> str:
    """An id as logs and spans carry it; whatever a caller sends instead is made harmless."""
    if _SUBJECT.fullmatch(value):
        return value
    # Redacted first: of a card number that is cut short, no part would be known for one.
    shown = redact_text(value[: 2 * _SUBJECT_CHARS_MAX])
    return _NOT_IN_IDS.sub("?", shown[:_SUBJECT_CHARS_MAX])


def _typed(error: BaseException, context: Context) -> SwitchyardError:
    if isinstance(error, SwitchyardError):
        return error
    if isinstance(error, TimeoutError) and _is_late(context):
        return DeadlineExceeded("the deadline passed before there was an answer")
    return Internal("an unexpected error")


def _is_late(context: Context) -> bool:
    remaining_seconds = context.time_remaining()
    return remaining_seconds is not None and remaining_seconds <= _DEADLINE_MARGIN_SECONDS


def _is_this_task_cancelled() -> bool:
    """Whether the call itself is being cancelled, and not just something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
