"""What a processor lists and never told: how far its list is compared, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# How far back a list is read again: an event may appear in it a little after later ones.
OVERLAP: Final = timedelta(minutes=1)
# Where the first comparison begins; operators go further back by asking for it.
FIRST_REACH: Final = timedelta(hours=1)
LONGEST_SPAN: Final = timedelta(hours=1)
SHORTEST_SPAN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of the processor's time; None is without bound."""

    occurred_from: datetime
    occurred_before: datetime | None


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as a processor lists it."""

    processor_id: str
    event_id: str
    event_type: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some listed events, oldest first, and where the list goes on."""

    events: Sequence[ListedEvent]
    next_token: str


@dataclass(frozen=True, slots=True)
class MissingEvent:
    """An event that a processor lists and that was never received."""

    processor_id: str
    event_id: str
    event_type: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a comparison got: on the processor's clock, and whether that was all of the list."""

    seen_through: datetime | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Span:
    """What is compared: one processor's list or all, between two moments; None is unsaid."""

    processor_id: str | None
    occurred_from: datetime | None
    occurred_before: datetime | None


@dataclass(frozen=True, slots=True)
class GapCursor:
    """Where a list of what is missing goes on: the window is settled by its first page."""

    window: Window
    processor_id: str
    token: str = ""


def next_window(seen_through: datetime | None, span: timedelta, now: datetime) -> Window:
    """The window of the next comparison: a span of history, or all that is left of it.

    The last window has no end, because the processor's clock may be ahead of ours.
    """
    if seen_through is None:
        return Window(now - FIRST_REACH, None)
    end = seen_through + span
    return Window(seen_through - OVERLAP, end if end < now else None)
