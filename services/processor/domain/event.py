"""What a processor tells unasked, in words that are the same for every processor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from services.kernel.money import Money
from services.kernel.outcome import ErrorCode


@unique
class EventType(StrEnum):
    """A kind of fact; UNSPECIFIED is one that should be readable and is not."""

    UNSPECIFIED = "UNSPECIFIED"
    IGNORED = "IGNORED"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    AUTHORIZED = "AUTHORIZED"
    FAILED = "FAILED"
    CAPTURED = "CAPTURED"
    CANCELED = "CANCELED"
    REFUND_PENDING = "REFUND_PENDING"
    REFUND_SUCCEEDED = "REFUND_SUCCEEDED"
    REFUND_FAILED = "REFUND_FAILED"
    DISPUTE_OPENED = "DISPUTE_OPENED"
    DISPUTE_FUNDS_WITHDRAWN = "DISPUTE_FUNDS_WITHDRAWN"
    DISPUTE_FUNDS_REINSTATED = "DISPUTE_FUNDS_REINSTATED"
    DISPUTE_WON = "DISPUTE_WON"
    DISPUTE_LOST = "DISPUTE_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorEvent:
    """A fact that a processor states; applying it twice changes nothing."""

    id: str
    type: EventType
    native_type: str
    occurred_at: datetime
    attempt_id: str | None = None
    hold: str | None = None
    object_id: str | None = None
    amount: Money | None = None
    fee: Money | None = None
    error_code: ErrorCode | None = None
    native_reason: str | None = None
    api_version: str | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class EventWindow:
    """Which events are wanted, by when they happened: from, included, to, excluded."""

    occurred_from: datetime | None = None
    occurred_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, oldest first, and the id after which the next page begins."""

    events: Sequence[ProcessorEvent]
    next_after: str | None
