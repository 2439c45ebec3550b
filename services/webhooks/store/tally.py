"""How much waits, how far the processors' lists were compared, and what is missing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.runtime.database import Database, Record
from services.webhooks.domain.event import Standing, State
from services.webhooks.domain.gap import MissingEvent, Progress
from services.webhooks.store.events import SQL


class Tally:
    """What operators, metrics and comparisons ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, processor_id: str | None) -> Standing:
        """How many events are in which state, and what waits the longest."""
        return await self._standing("count_states", processor_id)

    async def backlog(self) -> Standing:
        """The same without the events that are settled, whose number only grows."""
        return await self._standing("count_open", None)

    async def _standing(self, counting: str, processor_id: str | None) -> Standing:
        async with self._database.connection() as connection:
            asked = (processor_id,) if counting == "count_states" else ()
            counts = await connection.fetch(SQL[counting], *asked)
            age = await connection.fetchval(SQL["oldest_pending"], processor_id)
            missing = await connection.fetchrow(SQL["oldest_missing"], processor_id)
        assert missing is not None, "it always answers a row"
        return Standing(
            counts={State(row["state"]): row["events"] for row in counts},
            oldest_pending_age=age,
            oldest_missing=None if missing["stripe_event_id"] is None else _missing(missing),
            compared_through=missing["compared_at"],
        )

    async def unknown(self, event_ids: Sequence[str]) -> frozenset[str]:
        """Those that are not stored."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["find_ids"], event_ids)
        return frozenset(event_ids).difference(row["stripe_event_id"] for row in rows)

    async def begin(self, processor_id: str, interval: timedelta) -> tuple[datetime | None] | None:
        """Take the next comparison, unless somebody has; answers how far the last one got."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SQL["begin_comparison"], processor_id, interval)
        return None if row is None else (row["seen_through"],)

    async def note_missing(
        self, missing: Sequence[MissingEvent], now: datetime, grace: timedelta
    ) -> frozenset[str]:
        """Keep what is missing; answers which of them have been for as long as the grace."""
        processor_ids = [event.processor_id for event in missing]
        event_ids = [event.event_id for event in missing]
        async with self._database.connection() as connection:
            await connection.execute(
                SQL["note_missing"],
                processor_ids,
                event_ids,
                [event.event_type for event in missing],
                [event.occurred_at for event in missing],
                now,
            )
            rows = await connection.fetch(SQL["find_lost"], processor_ids, event_ids, now - grace)
        return frozenset(row["stripe_event_id"] for row in rows)

    async def finish(self, processor_id: str, progress: Progress) -> None:
        """Remember how far the list was compared, and forget what is missing no more."""
        async with self._database.connection() as connection:
            await connection.execute(SQL["forget_found"], processor_id)
            await connection.execute(
                SQL["finish_comparison"], processor_id, progress.seen_through, progress.is_complete
            )


def _missing(row: Record) -> MissingEvent:
    return MissingEvent(
        row["processor_id"], row["stripe_event_id"], row["event_type"], row["occurred_at"]
    )
