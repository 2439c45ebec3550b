"""Work that is done again and again in the background, and outlives its own failures."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from services.runtime.background import Background

_log = logging.getLogger(__name__)


class Periodic(Background):
    """Calls `work` until closed; at once again while it says that there is more to do."""

    def __init__(
        self, work: Callable[[], Awaitable[bool]], *, name: str, interval: timedelta
    ) -> None:
        super().__init__(name)
        self._work = work
        self._interval_seconds = interval.total_seconds()

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
