"""How much waits: in the outbox, in each inbox, and among the dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.runtime.database import Database
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.queries import load_queries

_QUERIES = load_queries(__package__)


@dataclass(frozen=True, slots=True)
class OutboxDepth:
    """What has not reached the bus."""

    waiting: int
    refused: int
    oldest_age: timedelta | None


@dataclass(frozen=True, slots=True)
class InboxDepth:
    """What a consumer has not handled."""

    consumer: str
    waiting: int
    dead: int
    oldest_age: timedelta | None


async def read_depths(
    database: Database, *, consumer: str | None = None
) -> tuple[OutboxDepth, Sequence[InboxDepth]]:
    """The outbox, and each inbox or the one named; an inbox with nothing waiting is there too."""
    async with database.connection() as connection:
        outbox = await connection.fetchrow(_QUERIES["outbox_lag"])
        inboxes = await connection.fetch(_QUERIES["inbox_depths"], consumer)
    assert outbox is not None, "an aggregate answers one row"
    return (
        OutboxDepth(outbox["waiting"], outbox["refused"], outbox["age"]),
        [InboxDepth(row["consumer"], row["waiting"], row["dead"], row["age"]) for row in inboxes],
    )


class DepthSampler:
    """Reads the depths into their gauges, as periodic work."""

    def __init__(self, database: Database, metrics: MessagingMetrics) -> None:
        self._database = database
        self._metrics = metrics

    async def sample(self) -> bool:
        """Read every depth once; there is never more to do."""
        outbox, inboxes = await read_depths(self._database)
        self._metrics.outbox_rows.set(outbox.waiting)
        self._metrics.outbox_age.set(_seconds(outbox.oldest_age))
        self._metrics.outbox_parked.set(outbox.refused)
        for inbox in inboxes:
            self._metrics.inbox_depth.labels(inbox.consumer).set(inbox.waiting)
            self._metrics.inbox_age.labels(inbox.consumer).set(_seconds(inbox.oldest_age))
            self._metrics.dlq_depth.labels(inbox.consumer).set(inbox.dead)
        return False


def _seconds(age: timedelta | None) -> float:
    return 0.0 if age is None else age.total_seconds()
