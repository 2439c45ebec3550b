"""What goes on in the background for as long as something is open, and what wakes it."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self


class Background(ABC):
    """Work in a task of its own, from when it is entered until it is left."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=self._name)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @abstractmethod
    async def _run(self) -> None:
        """The work, which ends by being cancelled."""


class Bell:
    """Rung by whoever has news; who waits for it looks now and then all the same."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self, *_: object) -> None:
        """Wake who waits, or who is about to; a notification's own words do not matter."""
        self._rung.set()

    async def wait(self, at_most_seconds: float) -> None:
        """Until it is rung, or for so long."""
        # Not wait_for, which forgets that it was cancelled when both come at once.
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_seconds):
                await self._rung.wait()
        self._rung.clear()
