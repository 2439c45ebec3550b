"""A message as a broker carries it: the payload, and what the inbox needs in the headers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from services.runtime.database import Record

_ID: Final = "event-id"
_TYPE: Final = "event-type"
_SEQUENCE: Final = "event-sequence"
_OCCURRED_AT: Final = "occurred-at"
_OURS: Final = frozenset({_ID, _TYPE, _SEQUENCE, _OCCURRED_AT})

Place = tuple[str, int]
"""A topic and one of the broker's partitions of it."""


@dataclass(frozen=True, slots=True)
class WireMessage:
    """One message on its way to a broker."""

    id: str
    topic: str
    key: str
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came from a broker, whoever wrote it."""

    place: Place
    position: str
    """Where in its partition it stood."""
    key: bytes
    payload: bytes
    headers: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One message as the inbox keeps it."""

    event_id: str
    topic: str
    key: str
    sequence: int
    type: str
    payload: bytes
    headers: Mapping[str, str]
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What a reader has received, in order, and where it would go on."""

    messages: Sequence[Received] = ()
    next_positions: Mapping[Place, str] = field(default_factory=dict)


class Reader(Protocol):
    """Reads a consumer's topics from a broker, partition by partition."""

    async def assign(self, lanes: Sequence[int], positions: Mapping[Place, str]) -> None:
        """Read the partitions that belong to these lanes, each from where it was left.

        A partition without a position is read from the oldest message that the broker keeps.
        Raises BusTrouble when the broker cannot be asked which partitions there are.
        """
        ...

    async def receive(self) -> Batch:
        """What has come in; waits for a moment, then answers with nothing."""
        ...

    async def acknowledge(self, next_positions: Mapping[Place, str]) -> None:
        """Tell the broker how far the consumer is, for those who watch its lag."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


def to_wire(row: Record) -> WireMessage:
    """A row of the outbox, ready to be sent."""
    headers = {
        **json.loads(row["headers"]),
        _ID: row["id"],
        _TYPE: row["type"],
        _SEQUENCE: str(row["sequence"]),
        _OCCURRED_AT: row["occurred_at"].isoformat(),
    }
    return WireMessage(row["id"], row["topic"], row["key"], row["payload"], headers)


def to_inbox(received: Received) -> InboxRow:
    """A row for the inbox; ValueError says why it is not one of ours."""
    try:
        row = InboxRow(
            event_id=received.headers[_ID],
            topic=received.place[0],
            key=received.key.decode(),
            sequence=int(received.headers[_SEQUENCE]),
            type=received.headers[_TYPE],
            payload=received.payload,
            headers={k: v for k, v in received.headers.items() if k not in _OURS},
            occurred_at=datetime.fromisoformat(received.headers[_OCCURRED_AT]).astimezone(UTC),
        )
    except KeyError as error:
        raise ValueError(f"it has no header {error.args[0]}") from error
    texts = (row.event_id, row.key, row.type, *row.headers, *row.headers.values())
    if any("\x00" in text for text in texts) or abs(row.sequence) >= 2**63 or not row.key:
        raise ValueError("its key, headers or sequence are not such as we write")
    return row


def to_unreadable(received: Received) -> InboxRow:
    """A row for what is not one of ours, named by its place, so that it is kept all the same."""
    topic, partition = received.place
    return InboxRow(
        event_id=f"{topic}/{partition}/{received.position}",
        topic=topic,
        key=_storable(received.key.decode(errors="replace")) or "-",
        sequence=0,
        type="",
        payload=received.payload,
        headers={_storable(k): _storable(v) for k, v in received.headers.items()},
        occurred_at=received.received_at,
    )


def _storable(text: str) -> str:
    # The one character that PostgreSQL does not take in text.
    return text.replace("\x00", "\ufffd")
