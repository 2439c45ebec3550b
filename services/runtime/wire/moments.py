"""Moments and spans of time as messages."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel.errors import invalid_field


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The moment as a field holds it, which is left out where there is none."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def duration(span: timedelta | None) -> Duration | None:
    """The span as a field holds it, which is left out where there is none."""
    if span is None:
        return None
    message = Duration()
    message.FromTimedelta(span)
    return message


def moment_from(field: str, message: Timestamp) -> datetime:
    """The moment, or the refusal of one that no calendar has."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        problem = "is no moment between the years 1 and 9999"
        raise invalid_field(field, "timestamp.range", problem) from None


def optional_moment(message: Message, field: str) -> datetime | None:
    """A moment that may be left out."""
    return moment_from(field, getattr(message, field)) if message.HasField(field) else None
