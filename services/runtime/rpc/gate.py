"""The gate of a network server: counts the calls inside, and closes when the server drains."""

import asyncio

from services.kernel.errors import Reason, Unavailable


class Gate:
    """Lets calls in until it closes, and says when the last one has left."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self) -> None:
        """Let a call in, or refuse it with an error that tells the caller to go elsewhere."""
        if self._closed:
            raise Unavailable(
                "this server is shutting down; send the call again", reason=Reason.SHUTTING_DOWN
            )
        self._inside += 1
        self._empty.clear()

    def leave(self) -> None:
        """Let a call out that had come in."""
        self._inside -= 1
        if self._inside == 0:
            self._empty.set()

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True

    async def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait for the calls inside to leave; False if some are still there when time is up."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
