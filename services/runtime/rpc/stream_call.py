"""A call that answers with a stream, and that is cancelled when its caller drops it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from grpc.aio import Metadata, UnaryStreamCall


class OwnedStreamCall(UnaryStreamCall[Any, Any]):
    """Passes everything on to the call beneath, which lives no longer than this.

    A caller who breaks off an `async for` lets go of the call. grpc.aio's own registers itself with
    its channel and so outlives that, with its handler left running until the deadline.
    """

    def __init__(self, beneath: UnaryStreamCall[Any, Any]) -> None:
        self._beneath = beneath
        self._messages: AsyncIterator[Any] | None = None

    def __del__(self) -> None:
        self._beneath.cancel()

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the messages."""
        self._messages = aiter(self._beneath)
        return self

    async def __anext__(self) -> Any:
        """The next message, for `async for`."""
        assert self._messages is not None
        return await anext(self._messages)

    async def read(self) -> Any:
        """The next message, or EOF."""
        return await self._beneath.read()

    def cancel(self) -> bool:
        """Cancel the call and its handler; False if it is over already."""
        return self._beneath.cancel()

    def cancelled(self) -> bool:
        """Whether the call ended as cancelled, on either side."""
        return self._beneath.cancelled()

    def done(self) -> bool:
        """Whether the call is over."""
        return self._beneath.done()

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return self._beneath.time_remaining()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back, with the call beneath, when it is over."""
        self._beneath.add_done_callback(callback)

    async def initial_metadata(self) -> Metadata:
        """The handler's headers, as soon as it has sent them."""
        return await self._beneath.initial_metadata()

    async def trailing_metadata(self) -> Metadata:
        """What the handler sent along with the final status."""
        return await self._beneath.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """The code of the final status."""
        return await self._beneath.code()

    async def details(self) -> str:
        """The message of the final status."""
        return await self._beneath.details()

    async def wait_for_connection(self) -> None:
        """Wait until the request is sent."""
        await self._beneath.wait_for_connection()
