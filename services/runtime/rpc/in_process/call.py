"""The caller's end of an in-process call: what a stub returns, to await or to iterate.

A call ends for its caller as it would on the network: with the response, with AioRpcError, or with
CancelledError if it was cancelled on this side.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any

import grpc
from grpc.aio import EOF, AioRpcError, Metadata, UnaryStreamCall, UnaryUnaryCall, UsageError

from services.runtime.rpc.in_process.exchange import Exchange, FinalStatus

_CANCELLED = FinalStatus(
    grpc.StatusCode.CANCELLED,
    "Locally cancelled by application!",
    is_local_cancellation=True,
)


class _InProcessCall:
    """What both kinds of call have in common."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def cancel(self) -> bool:
        """Cancel the call and its handler; False if it is over already."""
        if self._exchange.is_over:
            return False
        self._exchange.abandon(_CANCELLED)
        return True

    def cancelled(self) -> bool:
        """Whether the call ended as cancelled, on either side."""
        status = self._exchange.status
        return status is not None and status.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Whether the call is over."""
        return self._exchange.is_over

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return self._exchange.time_remaining_seconds

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back with this call when it is over."""
        self._exchange.add_done_callback(partial(callback, self))

    async def initial_metadata(self) -> Metadata:
        """The handler's headers, as soon as it has sent them."""
        return Metadata(*await self._exchange.wait_headers())

    async def trailing_metadata(self) -> Metadata:
        """What the handler sent along with the final status."""
        return Metadata(*(await self._exchange.wait_finished()).trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        """The code of the final status."""
        return (await self._exchange.wait_finished()).code

    async def details(self) -> str:
        """The message of the final status."""
        return (await self._exchange.wait_finished()).details

    async def wait_for_connection(self) -> None:
        """Return at once: a process is always connected to itself."""

    def _raise_unless_ok(self) -> None:
        status = self._exchange.status
        if status is None or status.code is grpc.StatusCode.OK:
            return
        if status.is_local_cancellation:
            raise asyncio.CancelledError
        raise AioRpcError(
            status.code,
            Metadata(*self._exchange.initial_metadata or ()),
            Metadata(*status.trailing_metadata),
            details=status.details,
            debug_error_string=f"{status.code.name}:{status.details}",
        )


class InProcessUnaryCall(_InProcessCall, UnaryUnaryCall[Any, Any]):
    """A call that answers with one message."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response; being cancelled meanwhile cancels the call."""
        exchange = self._exchange
        if exchange.status is None:
            try:
                yield from exchange.finished()
            except asyncio.CancelledError:
                self.cancel()
                raise
        self._raise_unless_ok()
        return exchange.response


class InProcessStreamCall(_InProcessCall, UnaryStreamCall[Any, Any]):
    """A call that answers with a stream of messages."""

    def __init__(self, exchange: Exchange, deserializer: Callable[[bytes], Any]) -> None:
        super().__init__(exchange)
        self._deserializer = deserializer
        self._is_iterated: bool | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the messages."""
        self._settle_style(is_iterated=True)
        return self

    async def __anext__(self) -> Any:
        """The next message, for `async for`."""
        message = await self._take()
        if message is EOF:
            raise StopAsyncIteration
        return message

    async def read(self) -> Any:
        """The next message, or EOF."""
        self._settle_style(is_iterated=False)
        return await self._take()

    async def _take(self) -> Any:
        try:
            raw = await self._exchange.take()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if raw is not None:
            return self._deserializer(raw)
        self._raise_unless_ok()
        return EOF

    def _settle_style(self, *, is_iterated: bool) -> None:
        if self._is_iterated is None:
            self._is_iterated = is_iterated
        elif self._is_iterated is not is_iterated:
            raise UsageError("The iterator and read/write APIs may not be mixed on a single RPC.")
