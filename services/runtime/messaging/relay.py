"""The relay: has the bus carry what waits in the outbox, partition by partition.

Any number may run, in any number of processes: each partition is relayed by whoever holds its lock.
Nothing remembers a last position; what waits is what is not marked, so a transaction that commits
late is found like any other.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from services.runtime.database import Connection, Database
from services.runtime.messaging.bus import Bus, BusTrouble, Trouble
from services.runtime.messaging.lane import Lane
from services.runtime.messaging.metrics import MessagingMetrics

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 1.0


class Relay:
    """One process's share of the relaying."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        metrics: MessagingMetrics,
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        self._bus = bus
        self._metrics = metrics
        self._trouble: Trouble | None = None
        self._lane = Lane(
            database,
            self._step,
            work="relay",
            bell="messaging_outbox",
            bell_word="",
            metrics=metrics,
            poll=poll,
        )

    def start(self) -> None:
        self._lane.start()

    async def close(self) -> None:
        """Finish the batch at hand and stop; what is not marked waits for the next relay."""
        await self._lane.close()

    async def _step(self, connection: Connection, partitions: Sequence[int]) -> bool:
        try:
            moved = await self._bus.carry(connection, partitions)
        except BusTrouble as error:
            self._metrics.bus_in_trouble(error.trouble)
            if error.trouble is not self._trouble:
                _log.error("cannot relay messages", trouble=error.trouble, problem=str(error))
            self._trouble = error.trouble
            # Bells go on ringing; without a pause each would try a bus known to be in trouble.
            await asyncio.sleep(_PAUSE_SECONDS)
            return False
        if self._trouble is not None and moved:
            _log.info("relaying messages again", after=self._trouble)
            self._trouble = None
        self._metrics.relayed(moved)
        return moved > 0
