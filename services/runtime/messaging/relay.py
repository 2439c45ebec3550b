"""The relay: has the bus carry what waits in the outbox, partition by partition.

Any number may run, in any number of processes: each partition is relayed by whoever holds its lock.
Nothing remembers a last position; what waits is what is not marked, so a transaction that commits
late is found like any other.
"""

from collections.abc import Sequence
from datetime import timedelta

from services.runtime.database import Connection, Database
from services.runtime.messaging.bus import Bus, BusTrouble
from services.runtime.messaging.lane import Lane
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.troubles import Troubles


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
        self._troubles = Troubles("cannot relay messages", metrics)
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
            await self._troubles.note(error)
            return False
        if moved:
            self._troubles.over()
        self._metrics.relayed(moved)
        return moved > 0
