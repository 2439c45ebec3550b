"""The dead letters: what consumers gave up on, kept whole, shown, and given to them again.

A letter stays in its consumer's inbox, out of the line, and a copy goes to the dead-letter topic
in the same transaction. Replaying puts it back where it stood: before whatever of its key still
waits, after what was handled since it died; so a handler that cares compares sequences.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Final

from services.kernel.errors import Conflict, Reason
from services.kernel.ids import EventId
from services.runtime.database import Connection, Record
from services.runtime.messaging import outbox
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.queries import load_queries

_QUERIES = load_queries(__package__)

Reference = tuple[str, str]
"""A letter's name: the consumer that gave up, and the event's id."""

_HEADER_ERROR_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; None is whatever it is."""

    consumer: str | None = None
    key: str | None = None
    died_from: datetime | None = None
    died_before: datetime | None = None


async def bury(connection: Connection, consumer: str, failures: Sequence[tuple[str, str]]) -> None:
    """Give up on messages, named by event id, each for its reason, in the caller's transaction."""
    rows = await connection.fetch(
        _QUERIES["bury"],
        consumer,
        [event_id for event_id, _ in failures],
        [error for _, error in failures],
    )
    # The death of a dead letter is not announced: its consumer would be given that one, too.
    await outbox.append(
        connection, [_copy(consumer, row) for row in rows if row["topic"] != Topic.DEAD_LETTERS]
    )


async def find(connection: Connection, reference: Reference) -> Record | None:
    """One letter, whole."""
    return await connection.fetchrow(_QUERIES["find_dead_letter"], *reference)


async def list_page(
    connection: Connection,
    wanted: LetterFilter,
    *,
    below: tuple[datetime, str, str] | None,
    size: int,
) -> Sequence[Record]:
    """Letters without their payloads, newest first, going on `below` the last one seen."""
    return await connection.fetch(
        _QUERIES["list_dead_letters"], *astuple(wanted), *(below or (None, None, None)), size
    )


async def replay(
    connection: Connection, idempotency_key: str, which: Sequence[Reference] | LetterFilter
) -> int:
    """Give letters to their consumers again, once for the key; answers how many that were."""
    named = which if isinstance(which, LetterFilter) else sorted(which)
    fingerprint = hashlib.sha256(repr(named).encode()).digest()
    if not await connection.fetchval(_QUERIES["claim_replay"], idempotency_key, fingerprint):
        return await _earlier_replay(connection, idempotency_key, fingerprint)
    if isinstance(which, LetterFilter):
        replayed = await connection.fetchval(_QUERIES["replay_described"], *astuple(which))
    else:
        consumers, event_ids = [c for c, _ in which], [e for _, e in which]
        replayed = await connection.fetchval(_QUERIES["replay_named"], consumers, event_ids)
    await connection.execute(_QUERIES["note_replay"], idempotency_key, replayed)
    return int(replayed)


async def _earlier_replay(connection: Connection, idempotency_key: str, fingerprint: bytes) -> int:
    earlier = await connection.fetchrow(_QUERIES["find_replay"], idempotency_key)
    assert earlier is not None, "a key that cannot be claimed has a row"
    if earlier["fingerprint"] != fingerprint:
        raise Conflict(
            "the idempotency key was used for another replay",
            reason=Reason.IDEMPOTENCY_KEY_REUSED,
        )
    return int(earlier["replayed"])


def _copy(consumer: str, row: Record) -> OutgoingMessage:
    """The same bytes under the same key, the story in the headers."""
    return OutgoingMessage(
        id=EventId.new(),
        topic=Topic.DEAD_LETTERS,
        key=row["key"],
        # Below zero, where it takes no number that the aggregate of this key may use.
        sequence=-row["number"],
        type=row["type"],
        payload=row["payload"],
        occurred_at=row["occurred_at"],
        headers={
            **json.loads(row["headers"]),
            "dead-letter-consumer": consumer,
            "dead-letter-event-id": row["event_id"],
            "dead-letter-topic": row["topic"],
            "dead-letter-attempts": str(row["attempts"]),
            "dead-letter-error": row["error"][:_HEADER_ERROR_CHARACTERS],
        },
    )
