"""A stored event and what becomes of it: applied, ignored, kept for its payment, given up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto, unique
from typing import Any, Final

from services.kernel.errors import Reason
from services.kernel.ids import PaymentId, WebhookEventId
from services.webhooks.domain.gap import MissingEvent

_FIRST_CHECK: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(days=1)
_DOUBLINGS_MAX: Final = 17


@unique
class State(StrEnum):
    """What became of an event."""

    PENDING = "pending"
    PROCESSED = "processed"
    UNMATCHED = "unmatched"
    IGNORED = "ignored"
    FAILED = "failed"


SETTLED: Final = frozenset({State.PROCESSED, State.IGNORED})


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be stored, if it is not stored already."""

    id: WebhookEventId
    processor_id: str
    event_id: str
    """The processor's own id of it."""
    event_type: str
    subject: str
    body: bytes
    signature_verified: bool
    occurred_at: datetime | None
    created_at: datetime
    traceparent: str | None = None
    """The recorded trace of what it is about, in which it is applied."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an event is stored, and whether it was before."""

    id: WebhookEventId
    duplicate: bool


@dataclass(frozen=True, slots=True)
class OpenEvent:
    """An event that is to be applied, as far as that takes."""

    id: WebhookEventId
    processor_id: str
    event_id: str
    event_type: str
    body: bytes
    state: State
    attempts: int
    unmatched_checks: int
    created_at: datetime


class Disposition(Enum):
    """What an event did to a payment."""

    APPLIED = auto()
    KNOWN = auto()
    STALE = auto()
    UNMATCHED = auto()
    IGNORED = auto()


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling the orchestrator of an event."""

    disposition: Disposition
    payment_id: PaymentId | None = None
    merchant_id: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt to apply an event came to."""

    state: State
    payment_id: PaymentId | None = None
    due_in: timedelta | None = None
    """When it is looked at again, if that is to be."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why applying an event was given up."""

    reason: Reason
    message: str
    attempts: int
    dead_letter_id: str


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """All that is known of an event."""

    id: WebhookEventId
    processor_id: str
    event_id: str
    event_type: str
    body: bytes
    payload: dict[str, Any] | None
    signature_verified: bool
    state: State
    payment_id: PaymentId | None
    attempts: int
    failure: tuple[Reason, str] | None
    occurred_at: datetime | None
    created_at: datetime
    processed_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; None is whatever it is."""

    states: tuple[State, ...] | None = None
    event_type: str | None = None
    processor_id: str | None = None
    payment_id: PaymentId | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReplaySelection:
    """Which events are to be applied once more."""

    ids: tuple[WebhookEventId, ...] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    failed_only: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How much waits, and for how long."""

    counts: Mapping[State, int]
    oldest_pending_age: timedelta | None
    oldest_missing: MissingEvent | None
    compared_through: datetime | None


def pause_before_check(checks: int) -> timedelta:
    """How long an event without a payment is left alone after so many looks.

    The pause doubles, so that it is found again by the time it is twice as old as it was when its
    payment appeared, and one that belongs to nothing here costs one look a day.
    """
    doublings = min(checks - 1, _DOUBLINGS_MAX)
    return min(_FIRST_CHECK * (1 << doublings), _LONGEST_PAUSE)
