"""The dead letters: what consumers gave up on, kept whole, shown, and given to them again.

A letter goes two ways in one transaction: into a table that people ask, and onto the dead-letter
topic for whoever watches that. Replaying puts the message back where it stood in its consumer's
line: before whatever of its key still waits, after what was handled since it died; so a handler
that cares compares sequences.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Final

from payments.events.v1.dead_letter_pb2 import DeadLetter, DeadLetterState

from services.kernel.errors import Conflict, Reason
from services.kernel.ids import DeadLetterId, EventId
from services.runtime.database import Connection, Record
from services.runtime.messaging import outbox
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.queries import load_queries
from services.runtime.wire.moments import timestamp

_QUERIES = load_queries(__package__)

# Above this the topic's copy goes without its payload: a copy that no broker takes would block the
# key of the message that died. The table always has it.
_COPIED_PAYLOAD_BYTES_MAX: Final = 500_000


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; None is whatever it is."""

    is_replayed: bool | None = None
    consumer: str | None = None
    key: str | None = None
    died_from: datetime | None = None
    died_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReplaySelection:
    """Which letters are given to their consumers again, of those that were not yet."""

    ids: tuple[str, ...] | None = None
    consumer: str | None = None
    died_from: datetime | None = None
    died_before: datetime | None = None


async def bury(connection: Connection, consumer: str, failures: Sequence[tuple[str, str]]) -> None:
    """Give up on messages, named by event id, each for its reason, in the caller's transaction."""
    rows = await connection.fetch(
        _QUERIES["bury"],
        consumer,
        [event_id for event_id, _ in failures],
        [DeadLetterId.new() for _ in failures],
        [error for _, error in failures],
    )
    # The death of a dead letter is not announced: its consumer would be given that one, too.
    await outbox.append(
        connection, [_announcement(row) for row in rows if row["topic"] != Topic.DEAD_LETTERS]
    )


async def find(connection: Connection, letter_id: DeadLetterId) -> DeadLetter | None:
    """One letter, whole."""
    row = await connection.fetchrow(_QUERIES["find_dead_letter"], letter_id)
    return None if row is None else _letter(row)


async def list_page(
    connection: Connection,
    wanted: LetterFilter,
    *,
    below: tuple[datetime, str] | None,
    size: int,
) -> list[DeadLetter]:
    """Letters without their payloads, newest first, going on `below` the last one seen."""
    rows = await connection.fetch(
        _QUERIES["list_dead_letters"], *astuple(wanted), *(below or (None, None)), size
    )
    return [_letter(row) for row in rows]


async def replay(connection: Connection, idempotency_key: str, selection: ReplaySelection) -> int:
    """Give letters to their consumers again, once for the key; answers how many that were."""
    fingerprint = hashlib.sha256(repr(selection).encode()).digest()
    if not await connection.fetchval(_QUERIES["claim_replay"], idempotency_key, fingerprint):
        return await _earlier_replay(connection, idempotency_key, fingerprint)
    replayed = await connection.fetchval(_QUERIES["replay_letters"], *astuple(selection))
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


def _announcement(row: Record) -> OutgoingMessage:
    letter = _letter(row)
    if len(letter.payload) > _COPIED_PAYLOAD_BYTES_MAX:
        letter.ClearField("payload")
    return OutgoingMessage(
        id=EventId.new(),
        topic=Topic.DEAD_LETTERS,
        key=row["key"],
        # Below zero, where it takes no number that the aggregate of this key may use.
        sequence=-row["number"],
        type="DeadLetter",
        payload=letter.SerializeToString(),
        occurred_at=row["died_at"],
    )


def _letter(row: Record) -> DeadLetter:
    replayed = row["replayed_at"] is not None
    return DeadLetter(
        id=row["id"],
        consumer=row["consumer"],
        topic=row["topic"],
        key=row["key"],
        # What could not be read was named by its place on the broker, which is no message id.
        message_id=row["event_id"] if row["type"] else "",
        type=row["type"],
        payload=row["payload"],
        headers=json.loads(row["headers"]),
        error=row["error"],
        attempt_count=row["attempts"],
        state=(
            DeadLetterState.DEAD_LETTER_STATE_REPLAYED
            if replayed
            else DeadLetterState.DEAD_LETTER_STATE_DEAD
        ),
        first_tried_at=timestamp(row["first_tried_at"]),
        died_at=timestamp(row["died_at"]),
        replayed_at=timestamp(row["replayed_at"]),
    )
