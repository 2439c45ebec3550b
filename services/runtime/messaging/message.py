"""What travels: a message on its way out, the same message as a consumer receives it, its lane.

The payload is a serialized payments.events.v1.Envelope; nothing in here looks inside. Whatever a
bus must know of it, to keep its order and to dedupe it, stands beside it.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.kernel.ids import EventId

PARTITIONS: Final = 16
"""How many lanes keys are spread over; whoever holds a lane works it alone, in order."""


class Topic(StrEnum):
    """Where messages go."""

    COMMANDS = "payment.commands"
    """What is to be done, once, by whom it concerns."""
    EVENTS = "payment.events"
    """What has happened, for whoever wants to know."""
    DEAD_LETTERS = "payment.dlq"
    """Messages a consumer could not handle, as it received them, with the reason in the headers."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message as the transaction that causes it hands it over."""

    id: EventId
    topic: Topic
    key: str
    """The aggregate it tells of, such as a payment's id: messages of one key stay in order."""
    sequence: int
    """Its number among the messages of its key, from the aggregate's version."""
    type: str
    payload: bytes
    occurred_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message as a consumer's handler receives it."""

    id: str
    topic: str
    key: str
    sequence: int
    type: str
    payload: bytes
    occurred_at: datetime
    headers: Mapping[str, str]
    attempt: int
    """1 the first time; more when an attempt failed, or died, before this one."""


def partition_of(key: str) -> int:
    """The lane of a key: the same in every process, release and language."""
    return zlib.crc32(key.encode()) % PARTITIONS
