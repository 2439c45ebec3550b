"""The intake: copies a consumer's topics from a broker into its inbox, each event once."""

import json
from collections.abc import Sequence

import structlog

from services.kernel.crash_points import CrashPoint
from services.runtime.crash_points import reach
from services.runtime.database import Connection, Database
from services.runtime.messaging import dead_letters
from services.runtime.messaging.bus import BusTrouble
from services.runtime.messaging.lane import Lane
from services.runtime.messaging.message import partition_of
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.troubles import Troubles
from services.runtime.messaging.wire import Batch, InboxRow, Reader, to_inbox, to_unreadable
from services.runtime.queries import load_queries

_QUERIES = load_queries(__package__)

_log = structlog.get_logger(__name__)


class Intake:
    """Copies for one consumer, on the partitions that its lane holds."""

    def __init__(
        self, database: Database, consumer: str, reader: Reader, *, metrics: MessagingMetrics
    ) -> None:
        self._consumer = consumer
        self._reader = reader
        self._troubles = Troubles("cannot take messages in", metrics, consumer=consumer)
        self._assigned: tuple[Connection, list[int]] | None = None
        self._lane = Lane(
            database,
            self._step,
            work=f"intake {consumer}",
            bell="messaging_intake",
            bell_word=consumer,
            metrics=metrics,
        )

    def start(self) -> None:
        self._lane.start()

    async def close(self) -> None:
        """Finish the batch at hand and disconnect."""
        await self._lane.close()
        await self._reader.close()

    async def _step(self, connection: Connection, partitions: Sequence[int]) -> bool:
        try:
            await self._follow(connection, partitions)
            batch = await self._reader.receive()
        except BusTrouble as error:
            await self._troubles.note(error)
            return True
        if batch.messages:
            self._troubles.over()
        if batch.next_positions:
            await self._store(connection, batch)
            reach(CrashPoint.CONSUMED_NOT_ACKNOWLEDGED)
            await self._reader.acknowledge(batch.next_positions)
        return True

    async def _follow(self, connection: Connection, partitions: Sequence[int]) -> None:
        # A new connection is a new tenure: another may have copied meanwhile, and a batch that
        # failed to be stored, which costs the lane its connection, has to be read again.
        assigned = (connection, sorted(partitions))
        if assigned == self._assigned:
            return
        self._assigned = None
        rows = await connection.fetch(_QUERIES["intake_positions"], self._consumer)
        positions = {(row["topic"], row["partition"]): row["next_position"] for row in rows}
        await self._reader.assign(partitions, positions)
        self._assigned = assigned

    async def _store(self, connection: Connection, batch: Batch) -> None:
        readable, unreadable = self._sort_out(batch)
        async with connection.transaction():
            await self._insert(connection, [*readable, *(row for row, _ in unreadable)])
            if unreadable:
                failures = [(row.event_id, problem) for row, problem in unreadable]
                await dead_letters.bury(connection, self._consumer, failures)
            moved = batch.next_positions
            await connection.execute(
                _QUERIES["move_intake"],
                self._consumer,
                [topic for topic, _ in moved],
                [partition for _, partition in moved],
                list(moved.values()),
            )

    def _sort_out(self, batch: Batch) -> tuple[list[InboxRow], list[tuple[InboxRow, str]]]:
        readable: list[InboxRow] = []
        unreadable: list[tuple[InboxRow, str]] = []
        for received in batch.messages:
            try:
                readable.append(to_inbox(received))
            except ValueError as error:
                row = to_unreadable(received)
                _log.error(
                    "a message on the bus is not one of ours",
                    event_id=row.event_id,
                    problem=str(error),
                )
                unreadable.append((row, f"not one of ours: {error}"))
        return readable, unreadable

    async def _insert(self, connection: Connection, rows: Sequence[InboxRow]) -> None:
        await connection.execute(
            _QUERIES["take_in"],
            self._consumer,
            [row.event_id for row in rows],
            [row.topic for row in rows],
            [row.key for row in rows],
            [partition_of(row.key) for row in rows],
            [row.sequence for row in rows],
            [row.type for row in rows],
            [row.payload for row in rows],
            [json.dumps(dict(row.headers)) for row in rows],
            [row.occurred_at for row in rows],
        )
