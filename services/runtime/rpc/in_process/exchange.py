"""One in-process call, as both ends of it see it.

The handler's end (`context.py`) and the caller's end (`call.py`) share an Exchange and nothing
else: metadata as immutable tuples, messages as bytes, and one final status, which the first to set
it decides.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import grpc

Metadata = tuple[tuple[str, str | bytes], ...]

# As many messages as a stream may be ahead of its reader; the network's window does the same.
_STREAM_MESSAGES_AHEAD_MAX = 16

_DEADLINE_DETAILS = "Deadline Exceeded"


class FinalStatus(NamedTuple):
    """How a call ended."""

    code: grpc.StatusCode
    details: str = ""
    trailing_metadata: Metadata = ()
    is_local_cancellation: bool = False


class Exchange:
    """What passes between the two ends of one call."""

    __slots__ = (
        "__weakref__",
        "_deadline",
        "_done_callbacks",
        "_finished",
        "_headers_waiter",
        "_loop",
        "_messages",
        "_on_finish",
        "_reader",
        "_timer",
        "_writer",
        "initial_metadata",
        "request_metadata",
        "response",
        "response_bytes_max",
        "status",
        "task",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout_seconds: float | None,
        request_metadata: Metadata,
        response_bytes_max: int,
        on_finish: Callable[["Exchange"], None],
    ) -> None:
        self._loop = loop
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None
        self._headers_waiter: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._messages: deque[bytes] = deque()
        self._done_callbacks: list[Callable[[], None]] = []
        self._on_finish = on_finish
        self.request_metadata = request_metadata
        self.response_bytes_max = response_bytes_max
        self.initial_metadata: Metadata | None = None
        self.response: object = None
        self.status: FinalStatus | None = None
        self.task: asyncio.Task[None] | None = None
        if timeout_seconds is not None:
            self._deadline = loop.time() + timeout_seconds
            self._timer = loop.call_later(max(timeout_seconds, 0), self._expire)

    @property
    def time_remaining_seconds(self) -> float | None:
        """How long until the deadline; None without one."""
        return None if self._deadline is None else max(self._deadline - self._loop.time(), 0.0)

    @property
    def is_over(self) -> bool:
        """Whether the caller has nothing more to learn: it is settled and every message read."""
        return self.status is not None and not self._messages

    def finish(self, status: FinalStatus) -> None:
        """Settle how the call ended, unless that is settled."""
        if self.status is not None:
            return
        self.status = status
        if self._timer is not None:
            self._timer.cancel()
        if self.initial_metadata is None:
            self.send_headers(())
        for waiter in (self._finished, self._reader, self._writer):
            _wake(waiter)
        self._on_finish(self)
        for callback in self._done_callbacks:
            callback()
        self._done_callbacks.clear()

    def abandon(self, status: FinalStatus) -> None:
        """Settle the call from outside the handler, and stop the handler."""
        if self.is_over:
            return
        self._messages.clear()
        self.finish(status)
        self.status = status
        if self.task is not None:
            self.task.cancel()

    async def break_off(self, status: FinalStatus) -> None:
        """Settle the call from within the handler and stop it; what was sent can still be read."""
        self.finish(status)
        assert self.task is not None
        self.task.cancel()
        await asyncio.sleep(0)

    def _expire(self) -> None:
        self.abandon(FinalStatus(grpc.StatusCode.DEADLINE_EXCEEDED, _DEADLINE_DETAILS))

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call back when the status is settled; at once if it is."""
        if self.status is not None:
            callback()
        else:
            self._done_callbacks.append(callback)

    async def wait_finished(self) -> FinalStatus:
        """Wait for the final status."""
        if self.status is None:
            waiter = self._loop.create_future()
            self._done_callbacks.append(partial(_wake, waiter))
            await waiter
        assert self.status is not None
        return self.status

    def finished(self) -> asyncio.Future[None]:
        """What is done when the call is, for the caller alone to wait on."""
        if self._finished is None:
            self._finished = self._loop.create_future()
        return self._finished

    def send_headers(self, metadata: Metadata) -> None:
        """Let the caller see the initial metadata."""
        self.initial_metadata = metadata
        _wake(self._headers_waiter)

    async def wait_headers(self) -> Metadata:
        """Wait for the initial metadata."""
        while self.initial_metadata is None:
            if self._headers_waiter is None:
                self._headers_waiter = self._loop.create_future()
            await asyncio.shield(self._headers_waiter)
        return self.initial_metadata

    async def put(self, message: bytes) -> None:
        """Hand over one message of a stream, waiting while the reader is too far behind."""
        while len(self._messages) >= _STREAM_MESSAGES_AHEAD_MAX and self.status is None:
            self._writer = self._loop.create_future()
            await self._writer
        if self.status is None:
            self._messages.append(message)
            _wake(self._reader)

    async def take(self) -> bytes | None:
        """The next message of the stream, or None when there are no more."""
        while not self._messages and self.status is None:
            self._reader = self._loop.create_future()
            await self._reader
        if not self._messages:
            return None
        message = self._messages.popleft()
        _wake(self._writer)
        return message


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
