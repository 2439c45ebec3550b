"""What a line of a payment's story is, and how its parts are put for a person to read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, auto

from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1.money_pb2 import Money as MoneyMessage

from services.orchestrator.translate.words import money_from


class Rank(IntEnum):
    """What comes first of what happened at one moment: causes before what they led to."""

    ASKED = auto()
    LEARNED = auto()
    WANTED = auto()
    MOVED = auto()
    PLANNED = auto()
    OWED = auto()
    COMMITTED = auto()
    SENT = auto()
    BOOKED = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, and where it belongs in the story."""

    at: datetime
    rank: Rank
    source: str
    text: str
    object_id: str = ""


def moment(message: Timestamp) -> datetime:
    """When it was, in UTC."""
    return message.ToDatetime(tzinfo=UTC)


def money(message: MoneyMessage) -> str:
    """An amount as a person writes it."""
    return str(money_from(message))


def enum_words(name: str, lead: str) -> str:
    """A value of the contracts without what all values of its enum begin with."""
    return words(name.removeprefix(lead).lower())


def words(text: str) -> str:
    """A word of ours as a person writes it."""
    return text.replace("_", " ")
