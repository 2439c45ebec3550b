"""What goes on beside the calls: payments being driven, and postings being booked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from typing import Final, Protocol, Self

from services.kernel.errors import SwitchyardError, Unavailable
from services.orchestrator.domain.command import Answer
from services.orchestrator.service.driving import Tell
from services.runtime.telemetry import Tracing, begin_context, current_traceparent

# As long as an attempt may take; what is not done by then is found again by its open attempt.
_GRACE: Final = timedelta(seconds=30)
_SWEEP: Final = timedelta(seconds=1)

_log = logging.getLogger(__name__)


class Drivers:
    """Tasks that outlive the calls that began them, each in a context of its own.

    A caller's deadline, cancellation and trace do not reach a payment: a shaved deadline would
    leave what a processor did unknown.
    """

    def __init__(self, tracing: Tracing, *, grace: timedelta = _GRACE) -> None:
        self._tracing = tracing
        self._grace_seconds = grace.total_seconds()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self, work: Callable[[Tell], Awaitable[None]], words: Mapping[str, str]
    ) -> Answer:
        """Run the work to its end, whoever waits, and return what it tells."""
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            self._drive(work, told, words, current_traceparent()),
            name=f"driver of {words['payment_id']}",
            context=Context(),
        )
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        # Unlike awaiting it, this leaves the task alone when the caller goes away.
        await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            return told.result()
        if task.cancelled():
            raise Unavailable("shutting down; what was begun is taken up again by its open attempt")
        # It ended without an answer: with the error that the caller is to hear.
        task.result()
        raise AssertionError("work tells something or raises")

    async def close(self) -> None:
        """Let what is under way come to an end, but not for ever."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _drive(
        self,
        work: Callable[[Tell], Awaitable[None]],
        told: "asyncio.Future[Answer]",
        words: Mapping[str, str],
        traceparent: str | None,
    ) -> None:
        begin_context(**words)
        with self._tracing.span("payment", words, linked_to=traceparent):
            await work(told.set_result)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # An error of the family is the caller's; anything else is a defect that nobody may miss.
        if not isinstance(error, SwitchyardError):
            _log.error("%s failed", task.get_name(), exc_info=error)


class PostsDue(Protocol):
    """Who books what is due."""

    async def post_due(self) -> bool: ...


class Bell(Protocol):
    """Who says that there is something to book."""

    async def wait(self, at_most: timedelta) -> None: ...


class PosterLoop:
    """Books postings as soon as they are there, and now and then those of other processes."""

    def __init__(self, poster: PostsDue, bell: Bell, *, sweep: timedelta = _SWEEP) -> None:
        self._poster = poster
        self._bell = bell
        self._sweep = sweep
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="poster")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            if not await self._post():
                await self._bell.wait(self._sweep)

    async def _post(self) -> bool:
        try:
            return await self._poster.post_due()
        except Exception:  # noqa: BLE001 -- the next time may be better, and nobody else tries
            _log.exception("posting failed; it is tried again")
            return False
