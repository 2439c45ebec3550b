"""Quotas in the database: drawn in the transaction of the intent, and forgotten once over."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from services.kernel.errors import ResourceExhausted
from services.orchestrator.domain.quota import Entry, QuotaKey, Tally, draw_all
from services.orchestrator.store.reading import SQL
from services.orchestrator.store.rows import Row, columns
from services.orchestrator.store.unit import Unit
from services.runtime.database import Connection, Database

_ROWS_AT_A_TIME: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def claim_quotas(
    connection: Connection, units: Sequence[Unit]
) -> Mapping[int, ResourceExhausted]:
    """Draw what each unit takes, in their order; those for whom there is no room are returned."""
    asked = {
        place: unit.claim.draws
        for place, unit in enumerate(units)
        if unit.claim is not None and unit.claim.draws
    }
    if not asked:
        return {}
    windows = {draw.quota.key: draw.quota.window for draws in asked.values() for draw in draws}
    # In one order everywhere, so that two processes that draw the same ones wait and do not lock.
    rows = await connection.fetch(SQL["hold_quotas"], *columns(map(_key_row, sorted(windows))))
    entries = {
        (row["merchant_id"].hex, row["rule"], row["subject"]): row["entries"] for row in rows
    }
    tallies = {key: _tally(entries[_key_row(key)]) for key in sorted(windows)}
    refused = draw_all(tallies, asked, rows[0]["now_us"])
    if not refused:
        drawn = [
            (
                *_key_row(key),
                json.dumps(tally.entries),
                _ends_at(tally, windows[key]),
                entries[_key_row(key)] is not None,
            )
            for key, tally in tallies.items()
        ]
        await _put(connection, drawn)
    return refused


class QuotaRows:
    """What is kept of quotas, between one draw and the next."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_some(self) -> bool:
        """Delete some of what is over; whether there may be more."""
        async with self._database.connection() as connection:
            tag = await connection.execute(SQL["forget_quotas"], _ROWS_AT_A_TIME)
        return int(tag.removeprefix("DELETE ")) == _ROWS_AT_A_TIME


async def _put(connection: Connection, drawn: Sequence[Row]) -> None:
    put = await connection.fetch(SQL["put_quotas"], *columns(drawn))
    if len(put) < len(drawn):
        # Nobody could hold what was not there: the batch is written again, and now it is.
        raise asyncpg.SerializationError("somebody else was the first to draw a quota")


def _key_row(key: QuotaKey) -> tuple[str, str, str]:
    return key.merchant_id.hex, key.rule, key.subject


def _tally(entries: str | None) -> Tally:
    return Tally() if entries is None else Tally(Entry(*each) for each in json.loads(entries))


def _ends_at(tally: Tally, window: timedelta) -> datetime:
    return _EPOCH + timedelta(microseconds=tally.entries[-1].at_us) + window
