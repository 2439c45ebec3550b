"""The front door of /v1: who calls, what they ask, whether it was asked before, what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sandbox import codec
from sandbox.access import authenticate, requested_version
from sandbox.commit import Committer
from sandbox.domain.work import Entity, Origin, Work
from sandbox.errors import (
    InvalidRequest,
    KeyInUse,
    RateLimited,
    Refused,
    ServerFailed,
    StripeError,
)
from sandbox.exchange import Exchange, Outcome
from sandbox.faults import Fault, Faults, Kind, When, distort
from sandbox.forms import Form, parse_form
from sandbox.idempotency import Keys, check_key, fingerprint
from sandbox.parameters import read_parameters
from sandbox.resources import ROUTES
from sandbox.routing import Call, Listing, Result
from sandbox.rows import StoredAnswer
from sandbox.shapes import Expander, Json, View, shape
from sandbox.wire import Answer, Broken, Reply, Request

_FORM_ENCODED: Final = "application/x-www-form-urlencoded"
# What a request that was swallowed is answered: nothing, and no status either.
_NOTHING: Final = Answer(0, b"")


class Api:
    """Answers requests under /v1, one unit of work each."""

    def __init__(self, committer: Committer, faults: Faults, view: Callable[[], View]) -> None:
        self._committer = committer
        self._storage = committer.storage
        self._faults = faults
        self._view = view
        self._keys = Keys(committer.storage)

    async def __call__(self, request: Request) -> Reply:
        """Answer one request, once everything its answer tells of is durable."""
        exchange = self._begin(request)
        try:
            self._understand(exchange)
            answer = await self._replay_or_execute(exchange)
        except StripeError as error:
            answer = self._error_answer(exchange, error)
            self._storage.add(attempt=exchange.attempt(answer.status))
        await self._storage.durable()
        return await self._send(exchange, answer)

    def _begin(self, request: Request) -> Exchange:
        sequence = self._storage.next_sequence()
        return Exchange(
            request=request,
            sequence=sequence,
            request_id=f"req_{self._committer.seed.token('request', sequence)[:14]}",
            at=self._committer.clock.now(),
        )

    def _understand(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method == "POST":
            exchange.idempotency_key = request.headers.get("idempotency-key")
        exchange.account = authenticate(request)
        exchange.route, exchange.object_id = ROUTES.find(request.method, request.path)
        exchange.api_version = requested_version(request) or self._view().api_version
        exchange.form = _form(request)
        if exchange.idempotency_key is not None:
            check_key(exchange.idempotency_key)
            exchange.fingerprint = fingerprint(exchange.form)

    async def _replay_or_execute(self, exchange: Exchange) -> Answer:
        assert exchange.route is not None
        earlier = self._earlier_answer(exchange)
        exchange.fault = self._faults.draw(
            exchange.route.operation, exchange.account, replayed=earlier is not None
        )
        if exchange.fault is not None:
            if exchange.fault.strikes is Kind.RATE_LIMIT:
                raise RateLimited("Too many requests; slow down.", code="rate_limit")
            if exchange.fault.swallows:
                exchange.outcome = Outcome.LOST
                self._storage.add(attempt=exchange.attempt(None))
                return _NOTHING
        if earlier is not None:
            exchange.outcome = Outcome.REPLAYED
            exchange.original_request = earlier.request_id
            self._storage.add(attempt=exchange.attempt(earlier.status))
            return Answer(earlier.status, earlier.body)
        with self._keys.in_flight(exchange.account, exchange.idempotency_key):
            return await self._execute(exchange)

    def _earlier_answer(self, exchange: Exchange) -> StoredAnswer | None:
        if exchange.idempotency_key is None:
            return None
        return self._keys.earlier_answer(
            exchange.account,
            exchange.idempotency_key,
            path=exchange.request.path,
            parameters=exchange.fingerprint,
            now=exchange.at,
        )

    async def _execute(self, exchange: Exchange) -> Answer:
        await _dawdle(exchange.fault, When.BEFORE)
        if exchange.request.method == "GET":
            # Lists are read from disk: wait until it holds all that was answered before.
            await self._storage.durable()
        origin = Origin(request_id=exchange.request_id, idempotency_key=exchange.idempotency_key)
        work = self._committer.open_work(exchange.account, origin)
        try:
            answer, stored = Answer(200, codec.encode(self._perform(exchange, work))), True
        except StripeError as error:
            answer, stored = self._error_answer(exchange, error), error.stored
            if not error.keeps_changes:
                work = self._committer.open_work(exchange.account, origin)
        exchange.outcome = Outcome.EXECUTED if stored else Outcome.REFUSED
        self._committer.commit(
            work,
            attempt=exchange.attempt(answer.status),
            answer=_stored(exchange, answer) if stored else None,
        )
        await self._storage.durable()
        await _dawdle(exchange.fault, When.AFTER)
        return answer

    def _perform(self, exchange: Exchange, work: Work) -> Json:
        assert exchange.route is not None
        params = read_parameters(exchange.route.schema, exchange.form)
        fault = exchange.fault
        if fault is None or fault.strikes is not Kind.SERVER_ERROR:
            return self._run(exchange, work, params)
        if not fault.strikes_before:
            self._run(exchange, work, params)
        raise ServerFailed("Something went wrong on the processor's side.")

    def _run(self, exchange: Exchange, work: Work, params: dict[str, Any]) -> Json:
        assert exchange.route is not None
        call = Call(
            work=work,
            id=exchange.object_id,
            params=params,
            path=exchange.request.path,
            api_version=exchange.api_version,
            pager=self._storage.page,
        )
        result = exchange.route.handle(call)
        if isinstance(result, Entity):
            exchange.object_id = result.id
        body = _shown(result, self._view())
        if paths := params.get("expand"):
            Expander(work.find, self._view()).expand(body, paths)
        return body

    def _error_answer(self, exchange: Exchange, error: StripeError) -> Answer:
        exchange.error = error
        body = error.body()
        entity = error.entity if isinstance(error, Refused) else None
        if entity is not None:
            body[entity.kind] = shape(entity, self._view())
            exchange.object_id = entity.id
        return Answer(error.status, codec.encode({"error": body}))

    async def _send(self, exchange: Exchange, answer: Answer) -> Reply:
        fault = exchange.fault
        if fault is None:
            return replace(answer, headers=self._headers(exchange))
        if fault.strikes is Kind.HANG:
            await asyncio.sleep(fault.delay_seconds)
        if answer is _NOTHING:
            return Broken(reset=fault.strikes is Kind.RESET)
        reply = distort(fault, answer)
        if isinstance(reply, Answer):
            return replace(reply, headers=self._headers(exchange) | reply.headers)
        return reply

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Request-Id": exchange.request_id,
            "Stripe-Version": exchange.api_version or self._view().api_version,
        }
        if exchange.idempotency_key is not None:
            headers["Idempotency-Key"] = exchange.idempotency_key
        if exchange.original_request is not None:
            headers["Idempotent-Replayed"] = "true"
            headers["Original-Request"] = exchange.original_request
        if isinstance(exchange.error, KeyInUse | RateLimited):
            headers["Stripe-Should-Retry"] = "true"
        elif exchange.error is not None:
            headers["Stripe-Should-Retry"] = "false"
        return headers


async def _dawdle(fault: Fault | None, when: When) -> None:
    if fault is None or fault.strikes is not Kind.SLOW:
        return
    if fault.strikes_before is (when is When.BEFORE):
        await asyncio.sleep(fault.delay_seconds)


def _form(request: Request) -> Form:
    if request.method != "POST":
        return parse_form(request.query)
    content_type = request.headers.get("content-type", _FORM_ENCODED).partition(";")[0]
    if request.body and content_type.strip().lower() != _FORM_ENCODED:
        raise InvalidRequest(f"The request's content type must be {_FORM_ENCODED}.")
    try:
        return parse_form(request.body.decode())
    except UnicodeDecodeError:
        raise InvalidRequest("The request's body is not valid UTF-8.") from None


def _shown(result: Result, view: View) -> Json:
    if isinstance(result, Entity):
        return shape(result, view)
    if isinstance(result, Listing):
        return {
            "object": "list",
            "data": [shape(entity, view) for entity in result.page.entities],
            "has_more": result.page.has_more,
            "url": result.url,
        }
    return dict(result)


def _stored(exchange: Exchange, answer: Answer) -> StoredAnswer | None:
    if exchange.idempotency_key is None:
        return None
    return StoredAnswer(
        account=exchange.account,
        key=exchange.idempotency_key,
        created=exchange.at,
        path=exchange.request.path,
        fingerprint=exchange.fingerprint,
        request_id=exchange.request_id,
        status=answer.status,
        body=answer.body,
    )
