"""Trouble with the bus, told once when it begins and once when it is over, counted every time."""

import asyncio
from typing import Final

import structlog

from services.runtime.messaging.bus import BusTrouble, Trouble
from services.runtime.messaging.metrics import MessagingMetrics

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 0.5


class Troubles:
    """The state of one user of the bus."""

    def __init__(self, complaint: str, metrics: MessagingMetrics, **words: str) -> None:
        self._complaint = complaint
        self._metrics = metrics
        self._words = words
        self._present: Trouble | None = None

    async def note(self, error: BusTrouble) -> None:
        """Count it, tell of it if it is news, and wait a moment: bells ring while a bus is down."""
        self._metrics.bus_in_trouble(error.trouble)
        if error.trouble is not self._present:
            _log.error(
                self._complaint, trouble=error.trouble.value, problem=str(error), **self._words
            )
        self._present = error.trouble
        await asyncio.sleep(_PAUSE_SECONDS)

    def over(self) -> None:
        """The bus works."""
        if self._present is not None:
            _log.info("the bus works again", after=self._present.value, **self._words)
            self._present = None
