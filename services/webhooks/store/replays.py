"""Replays and backfills under their keys: each happens once, and a repeat is told the same."""

import hashlib
from dataclasses import astuple

from services.kernel.errors import Conflict, Reason
from services.runtime.database import Connection, Database
from services.runtime.messaging import dead_letters
from services.webhooks.domain.event import ReplaySelection
from services.webhooks.store.events import SQL, Encode, append_commands


class Replays:
    """Where calls that do something once more are remembered."""

    def __init__(self, database: Database, encode: Encode) -> None:
        self._database = database
        self._encode = encode

    async def replay(self, idempotency_key: str, selection: ReplaySelection) -> int:
        """Have the chosen events applied once more; how many those are."""

        async def work(connection: Connection) -> int:
            earlier = await _claim(connection, idempotency_key, repr(selection))
            if earlier is not None:
                return earlier
            count = await self._reopen(connection, idempotency_key, selection)
            await connection.execute(SQL["note_call"], idempotency_key, count)
            return count

        return await self._database.transaction(work)

    async def earlier(self, idempotency_key: str, asked: str) -> int | None:
        """What the call under this key came to, if it was made before."""
        async with self._database.connection() as connection:
            return await _earlier(connection, idempotency_key, asked)

    async def note(self, idempotency_key: str, asked: str, count: int) -> None:
        """Remember what a call came to."""

        async def work(connection: Connection) -> None:
            if await _claim(connection, idempotency_key, asked) is None:
                await connection.execute(SQL["note_call"], idempotency_key, count)

        await self._database.transaction(work)

    async def _reopen(
        self, connection: Connection, idempotency_key: str, selection: ReplaySelection
    ) -> int:
        chosen = astuple(selection)
        ids = selection.ids and [event_id.hex for event_id in selection.ids]
        rows = await connection.fetch(SQL["reopen"], ids, *chosen[1:])
        letters = tuple(sorted(row["dead_letter_id"] for row in rows if row["dead_letter_id"]))
        revived = 0
        if letters:
            # What had died goes on as it was, and leaves the dead letters by that.
            key = hashlib.sha256(idempotency_key.encode()).hexdigest()
            revived = await dead_letters.replay(
                connection, f"webhooks:{key}", dead_letters.ReplaySelection(ids=letters)
            )
        is_all_revived = revived == len(letters)
        fresh = [row for row in rows if not (is_all_revived and row["dead_letter_id"])]
        await append_commands(connection, self._encode, fresh)
        return len(rows)


async def _claim(connection: Connection, idempotency_key: str, asked: str) -> int | None:
    """None for whoever comes first, and for others what the first came to."""
    if await connection.fetchval(SQL["claim_call"], idempotency_key, _fingerprint(asked)):
        return None
    return await _earlier(connection, idempotency_key, asked)


async def _earlier(connection: Connection, idempotency_key: str, asked: str) -> int | None:
    row = await connection.fetchrow(SQL["find_call"], idempotency_key)
    if row is None:
        return None
    if row["fingerprint"] != _fingerprint(asked):
        raise Conflict(
            "this idempotency key was used before, for another call",
            reason=Reason.IDEMPOTENCY_KEY_REUSED,
        )
    return int(row["count"])


def _fingerprint(asked: str) -> bytes:
    return hashlib.sha256(asked.encode()).digest()
