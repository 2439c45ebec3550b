"""The use cases of the processors.

This is the one place where an adapter is called. Whatever it does, the caller gets a Result: time
is bounded, exceptions become outcomes, an answer that does not fit what was asked is no success,
and what is kept of it holds no secret.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from services.kernel.clock import Clock
from services.kernel.context import PaymentMethod
from services.kernel.errors import (
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
    Unavailable,
)
from services.kernel.outcome import ErrorCode, Outcome
from services.processor.domain.attempt import Attempt, Operation, checked_key
from services.processor.domain.event import EventPage, EventType, EventWindow, ProcessorEvent
from services.processor.domain.profile import Profile
from services.processor.domain.raw import keepable
from services.processor.domain.verdict import (
    Misfit,
    NoAnswer,
    NotSent,
    Result,
    Trouble,
    Verdict,
    judged,
    problem,
    unknown,
)
from services.processor.service.adapter import Adapter, Processor

DEFAULT_TIMEOUT: Final = timedelta(seconds=30)

_log = structlog.get_logger()


class Processors:
    """Every processor this platform can use, by id."""

    def __init__(
        self,
        processors: Sequence[Processor],
        clock: Clock,
        *,
        timeout: timedelta = DEFAULT_TIMEOUT,
    ) -> None:
        self._processors = {processor.profile.id: processor for processor in processors}
        assert len(self._processors) == len(processors), "processors have ids of their own"
        self._clock = clock
        self._timeout_seconds = timeout.total_seconds()

    async def execute(
        self, attempt: Attempt, key: str, *, timeout_seconds: float | None = None
    ) -> Result:
        """Carry the attempt out, once however often it is sent with this key."""
        adapter = self._find(attempt.processor_id, attempt.instrument_method).adapter
        key = checked_key(key)
        carry_out = {
            Operation.AUTHORIZE: adapter.authorize,
            Operation.CAPTURE: adapter.capture,
            Operation.VOID: adapter.void,
            Operation.REFUND: adapter.refund,
        }[attempt.operation]

        async def ask() -> Verdict:
            if attempt.is_key_forgotten(self._clock.now()):
                raise NoAnswer("the key may be forgotten, so that sending could do it twice")
            return await carry_out(attempt, key)

        return await self._result(attempt, attempt.operation, adapter, ask, timeout_seconds)

    async def lookup(
        self, attempt: Attempt, key: str, *, timeout_seconds: float | None = None
    ) -> Result:
        """Find out what became of the attempt."""
        adapter = self._find(attempt.processor_id).adapter
        known_key = None if attempt.is_key_forgotten(self._clock.now()) else checked_key(key)

        async def ask() -> Verdict:
            try:
                return await adapter.lookup(attempt, known_key)
            except NotSent as trouble:
                # The question was not sent; of the attempt itself that says nothing.
                raise NoAnswer(trouble.message, reference=trouble.reference) from trouble

        return await self._result(attempt, Operation.LOOKUP, adapter, ask, timeout_seconds)

    def read_event(self, processor_id: str, body: bytes) -> ProcessorEvent:
        """What an event that the processor delivered says."""
        adapter = self._find(processor_id).adapter
        try:
            return adapter.read_event(body)
        except Misfit as misfit:
            message = f"is no event of this processor's: {misfit.message}"
            raise InvalidArgument(
                f"the body {message}",
                reason=Reason.BODY_MALFORMED,
                violations=[FieldViolation("body", "body.event", message)],
            ) from misfit

    async def list_events(
        self,
        processor_id: str,
        window: EventWindow,
        after: str | None,
        limit: int,
        *,
        timeout_seconds: float | None = None,
    ) -> EventPage:
        """A page of the processor's own events, oldest first."""
        adapter = self._find(processor_id).adapter
        try:
            async with asyncio.timeout(self._bound_seconds(timeout_seconds)):
                page = await adapter.list_events(window, after, limit)
        except (Trouble, TimeoutError) as trouble:
            message = f"{processor_id} did not list its events: {trouble or 'time ran out'}"
            raise Unavailable(message, reason=Reason.PROCESSOR_UNAVAILABLE) from trouble
        for event in page.events:
            if event.type is EventType.UNSPECIFIED:
                _log.error("event not understood", processor_id=processor_id, event_id=event.id)
        return page

    def list_processors(
        self, method: PaymentMethod | None, after: str | None, limit: int
    ) -> tuple[Sequence[Profile], str | None]:
        """A page of the processors, by id, and the id after which the next page begins."""
        found = [
            processor.profile
            for processor_id, processor in sorted(self._processors.items())
            if (method is None or method in processor.profile.methods)
            and (after is None or processor_id > after)
        ]
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    async def close(self) -> None:
        """Let go of every processor's connections."""
        for processor in self._processors.values():
            await processor.adapter.close()

    def _find(self, processor_id: str, method: PaymentMethod | None = None) -> Processor:
        processor = self._processors.get(processor_id)
        if processor is None:
            known = ", ".join(sorted(self._processors)) or "none"
            raise NotFound(
                f"there is no processor {processor_id[:64]!r}; there are: {known}",
                reason=Reason.PROCESSOR_NOT_FOUND,
            )
        if method is not None and method not in processor.profile.methods:
            message = f"{processor_id} does not take {method}"
            violation = FieldViolation("attempt.instrument.method", "processor.method", message)
            raise InvalidArgument(message, violations=[violation])
        return processor

    async def _result(
        self,
        attempt: Attempt,
        operation: Operation,
        adapter: Adapter,
        ask: Callable[[], Awaitable[Verdict]],
        timeout_seconds: float | None,
    ) -> Result:
        started_at = self._clock.monotonic()
        verdict = await self._verdict(attempt, ask, self._bound_seconds(timeout_seconds))
        result = Result(
            processor_id=attempt.processor_id,
            verdict=replace(verdict, raw=keepable(verdict.raw, adapter.secret_names)),
            latency_ms=round((self._clock.monotonic() - started_at) * 1000),
            observed_at=self._clock.now(),
        )
        _report(attempt, operation, result)
        return result

    async def _verdict(
        self, attempt: Attempt, ask: Callable[[], Awaitable[Verdict]], timeout_seconds: float
    ) -> Verdict:
        try:
            async with asyncio.timeout(timeout_seconds):
                return judged(attempt, await ask())
        except TimeoutError:
            return NoAnswer("no answer in time").verdict
        except Trouble as trouble:
            return trouble.verdict
        except asyncio.CancelledError as error:
            if _is_this_task_cancelled():
                raise
            return _panic(attempt, error)
        except Exception as error:  # noqa: BLE001 -- the boundary: every adapter's answer is a Result
            return _panic(attempt, error)

    def _bound_seconds(self, timeout_seconds: float | None) -> float:
        if timeout_seconds is None:
            return self._timeout_seconds
        return min(timeout_seconds, self._timeout_seconds)


def _panic(attempt: Attempt, error: BaseException) -> Verdict:
    """What is answered for an adapter that broke: it may have sent the request before it did."""
    _log.error("adapter failed", processor_id=attempt.processor_id, exc_info=error)
    return unknown(
        ErrorCode.PROCESSING_ERROR, raw=problem(f"the adapter failed: {type(error).__name__}")
    )


def _is_this_task_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _report(attempt: Attempt, operation: Operation, result: Result) -> None:
    """One line an answer; what is in doubt or does not fit is an error."""
    verdict = result.verdict
    not_found = operation is Operation.LOOKUP and verdict.anomaly is None
    if verdict.outcome is Outcome.UNKNOWN and not not_found:
        write = _log.error
    elif verdict.outcome in (Outcome.UNKNOWN, Outcome.FAILED):
        write = _log.warning
    else:
        write = _log.info
    write(
        "processor answered",
        processor_id=result.processor_id,
        operation=str(operation),
        attempt_id=attempt.id,
        payment_id=attempt.payment_id,
        merchant_id=attempt.merchant_id,
        outcome=str(verdict.outcome),
        error_code=str(verdict.error_code or ""),
        decline_code=verdict.decline_code or "",
        anomaly=verdict.anomaly or "",
        processor_reference=verdict.reference or "",
        latency_ms=result.latency_ms,
    )
