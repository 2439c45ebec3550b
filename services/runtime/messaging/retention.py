"""Forgetting: what is history long enough leaves outbox and inbox, so that neither grows on."""

from datetime import timedelta
from typing import Final

from services.kernel.clock import Clock
from services.runtime.database import Database
from services.runtime.queries import load_queries

_QUERIES = load_queries(__package__)

_ROWS_AT_A_TIME: Final = 5_000

DEFAULT_OUTBOX_KEPT: Final = timedelta(days=7)
DEFAULT_INBOX_KEPT: Final = timedelta(days=21)
"""Longer than any bus keeps a message: a copy that could still come must still be recognised."""


class Retention:
    """Deletes relayed, handled and replayed messages that are past their keeping."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        outbox_kept: timedelta = DEFAULT_OUTBOX_KEPT,
        inbox_kept: timedelta = DEFAULT_INBOX_KEPT,
    ) -> None:
        if inbox_kept <= outbox_kept:
            raise ValueError("the inbox must remember for longer than the bus can deliver again")
        self._database = database
        self._clock = clock
        self._outbox_kept = outbox_kept
        self._inbox_kept = inbox_kept

    async def forget_some(self) -> bool:
        """Delete a few thousand rows of each; True when there may be more, as periodic work."""
        now = self._clock.now()
        forgotten = 0
        for query, before in (
            ("forget_relayed", now - self._outbox_kept),
            ("forget_handled", now - self._inbox_kept),
            ("forget_replayed", now - self._inbox_kept),
            ("forget_replays", now - self._inbox_kept),
        ):
            async with self._database.connection() as connection:
                tag = await connection.execute(_QUERIES[query], before, _ROWS_AT_A_TIME)
            forgotten = max(forgotten, int(tag.removeprefix("DELETE ")))
        return forgotten == _ROWS_AT_A_TIME
