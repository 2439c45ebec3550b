"""Work that is done again and again in the background, and outlives its own failures."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Self

_log = logging.getLogger(__name__)


class Periodic:
    """Calls `work` until closed; at once again while it says that there is more to do."""

    def __init__(
        self, work: Callable[[], Awaitable[bool]], *, name: str, interval: timedelta
    ) -> None:
        self._work = work
        self._name = name
        self._interval_seconds = interval.total_seconds()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=self._name)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            if not await self._run_once():
                await asyncio.sleep(self._interval_seconds)

    async def _run_once(self) -> bool:
        try:
            return await self._work()
        except Exception:  # noqa: BLE001 -- the next time may be better, and nobody else tries
            _log.exception("%s failed; it is tried again", self._name)
            return False
