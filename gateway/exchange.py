"""One request on its way through: who asks, under which id, with what, and what they are told.

From the outside in: the request's id and its trace; what is counted and logged; errors as problems;
the caller; the route. Only here is an unexpected exception caught, since beyond is the caller.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import structlog
from grpc.aio import AioRpcError
from opentelemetry.trace import Span
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth import Principal, Scope
from gateway.limits import CALL_SECONDS, read_body
from gateway.means import Means
from gateway.problems import error_of_call
from gateway.reading import PAYMENT_LIMITS, BodyLimits, Caller, Incoming, Refusal, decode_json
from gateway.reading.notes import Notes
from gateway.reading.rules import bodies, fields
from gateway.told import Told
from services.kernel.context import ValidationIssue
from services.kernel.errors import Internal, InvalidArgument, NotFound, SwitchyardError
from services.kernel.ids import (
    Id,
    LedgerTransactionId,
    MerchantId,
    PaymentId,
    RefundId,
    RequestId,
)
from services.runtime.rpc import begin_deadline
from services.runtime.telemetry import begin_context, bind_context
from services.runtime.telemetry.tracing import mark_failed

_IdT = TypeVar("_IdT", bound=Id)
Answer = Callable[["Exchange"], Awaitable[Told]]

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD: Final = "OTHER"
_KEY: Final = "idempotency-key"
_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400

_log = structlog.get_logger()


class Exchange:
    """One request, with what a route may ask of it."""

    def __init__(self, request: Request, means: Means, route: str) -> None:
        self.means = means
        self.services = means.services
        self.route = route
        # Whoever asks may make one up, and it stands in metrics, spans and lines.
        self.method = request.method if request.method in _METHODS else _OTHER_METHOD
        self.headers, self._twice = _headers(request)
        self.request_id = _request_id(self.headers.get("request-id"))
        self.principal: Principal | None = None
        self._request = request

    def path(self, name: str) -> str:
        return str(self._request.path_params[name])

    def payment_id(self) -> PaymentId:
        """The payment that the path names."""
        payment_id = self._id(PaymentId, "payment_id")
        bind_context(payment_id=payment_id)
        return payment_id

    def refund_id(self) -> RefundId:
        """The refund that the path names."""
        return self._id(RefundId, "refund_id")

    def transaction_id(self) -> LedgerTransactionId:
        """The transaction of the ledger that the path names."""
        return self._id(LedgerTransactionId, "transaction_id")

    @property
    def caller(self) -> Principal:
        assert self.principal is not None, "the route is for those who show a key"
        return self.principal

    @property
    def wants_no_wait(self) -> bool:
        """Whether the caller would rather have an answer at once (RFC 7240)."""
        preferences = self.headers.get("prefer", "")
        return any(each.strip().lower() == "respond-async" for each in preferences.split(","))

    async def raw_body(self, bytes_max: int) -> bytes:
        return await read_body(self._request.receive, bytes_max)

    async def incoming(self, limits: BodyLimits = PAYMENT_LIMITS) -> Incoming:
        """The request as the reader takes it; raises Refusal."""
        body = decode_json(await self.raw_body(limits.max_bytes), limits)
        notes = Notes(body.issues)
        if self._twice:
            # Of a header that comes twice, whoever is in between may have seen the other one.
            notes.note(bodies.KEY_MISMATCH, "Idempotency-Key", message="It was sent twice.")
        query = self._query(notes)
        return Incoming(body.values, self.headers, query, notes.settle(), self.request_id)

    def query(self) -> Mapping[str, str]:
        """The query of a request without a body; raises Refusal."""
        notes = Notes()
        query = self._query(notes)
        notes.settle()
        return query

    def spoken_for(self, merchant_id: MerchantId) -> Caller:
        """The caller of an order about a payment of this merchant."""
        return Caller(merchant_id, self.caller.api_key_id)

    def notice(self, issues: tuple[ValidationIssue, ...]) -> None:
        """Count and log the leniencies that a request needed."""
        if issues:
            self.means.metrics.noticed(issues)
            _log.info("request read with issues", issues=[_in_short(issue) for issue in issues])

    def _id(self, kind: type[_IdT], name: str) -> _IdT:
        """An id in the path; what is none names nothing, and is not found."""
        try:
            return kind.parse(self.path(name))
        except InvalidArgument:
            raise NotFound("that is no id of the kind") from None

    def _query(self, notes: Notes) -> Mapping[str, str]:
        raw = self._request.scope["query_string"]
        if not raw:
            return {}
        try:
            pairs = parse_qsl(
                raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError:
            raise Refusal.of(bodies.MALFORMED, message="Nor is the query.") from None
        query: dict[str, str] = {}
        for name, value in pairs:
            if query.setdefault(name, value) != value:
                notes.note(fields.CONFLICT, f"query.{name}", value)
        return query


async def conduct(
    exchange: Exchange, scope: Scope | None, answer: Answer, *, needs_key: bool = True
) -> Response:
    """Answer one request, and tell of it in log, trace and metrics."""
    started_at = time.perf_counter()
    span = _introduce(exchange)
    told = await _told(exchange, scope, answer, needs_key=needs_key)
    bind_context(payment_id=_payment_told_of(told))
    duration_seconds = time.perf_counter() - started_at
    exchange.means.metrics.answered(exchange.method, exchange.route, told.status, duration_seconds)
    _report(exchange, told, duration_seconds)
    if told.status >= _SERVER_ERROR:
        mark_failed(span, str(told.status))
    span.end()
    return told.response(exchange.request_id)


async def _told(
    exchange: Exchange, scope: Scope | None, answer: Answer, *, needs_key: bool
) -> Told:
    problems, request_id = exchange.means.problems, exchange.request_id
    try:
        if needs_key:
            await _authenticate(exchange, scope)
        return await answer(exchange)
    except Refusal as refusal:
        exchange.notice(refusal.issues)
        return problems.of_refusal(refusal, request_id)
    except SwitchyardError as error:
        return problems.of_error(error, request_id)
    except AioRpcError as error:
        return problems.of_error(error_of_call(error), request_id)
    except Exception as error:  # noqa: BLE001 -- the caller is told, and the log has it all
        _log.exception("request failed", exc_info=error)
        return problems.of_error(Internal(f"internal error, request {request_id}"), request_id)


async def _authenticate(exchange: Exchange, scope: Scope | None) -> None:
    principal = await exchange.means.principals.of(exchange.headers.get("authorization"))
    exchange.principal = principal
    if principal.merchant_id is not None:
        bind_context(merchant_id=principal.merchant_id)
    if scope is not None:
        principal.require(scope)


def _introduce(exchange: Exchange) -> Span:
    begin_context(service="gateway", request_id=exchange.request_id)
    begin_deadline(CALL_SECONDS)
    return exchange.means.telemetry.tracing.enter_call(
        f"{exchange.method} {exchange.route}",
        exchange.headers.get("traceparent"),
        {"request_id": exchange.request_id},
    )


def _payment_told_of(told: Told) -> str | None:
    """The payment that an answer or a problem is about, if it is about one."""
    body = told.body if isinstance(told.body, dict) else {}
    payment = body.get("payment")
    payment_id = (payment if isinstance(payment, dict) else body).get("payment_id")
    return payment_id if isinstance(payment_id, str) else None


def _report(exchange: Exchange, told: Told, duration_seconds: float) -> None:
    if told.status < _CLIENT_ERROR:
        _log.debug(
            "request answered",
            method=exchange.method,
            route=exchange.route,
            status=told.status,
            duration_ms=round(duration_seconds * 1000, 3),
        )
        return
    write = _log.error if told.status >= _SERVER_ERROR else _log.info
    body = told.body if isinstance(told.body, dict) else {}
    write(
        "request refused" if told.status < _SERVER_ERROR else "request failed",
        method=exchange.method,
        route=exchange.route,
        status=told.status,
        code=body.get("code"),
        param=body.get("param"),
        duration_ms=round(duration_seconds * 1000, 3),
    )


def _headers(request: Request) -> tuple[dict[str, str], bool]:
    """The headers by name, and whether a key came in two that differ."""
    headers: dict[str, str] = {}
    twice = False
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), _text(raw_value)
        if name == _KEY and headers.get(name, value) != value:
            twice = True
        headers[name] = value
    return headers, twice


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _request_id(header: str | None) -> RequestId:
    try:
        return RequestId.parse(header) if header is not None else RequestId.new()
    except InvalidArgument:
        return RequestId.new()


def _in_short(issue: ValidationIssue) -> dict[str, str]:
    return {"rule": issue.rule, "severity": issue.severity.value, "field": issue.field}
