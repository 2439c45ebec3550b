"""Domain events, and the aggregates that record them as they change."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.kernel.ids import EventId


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainEvent:
    """Something that happened to an aggregate; subclasses say what, in the past tense.

    The id is fixed when the event is made, so that every bus and inbox dedupes by it; two events
    that tell the same compare equal whatever their ids.
    """

    event_id: EventId = field(default_factory=EventId.new, compare=False)
    occurred_at: datetime

    def __post_init__(self) -> None:
        if self.occurred_at.utcoffset() != timedelta(0):
            raise ValueError("an event happens at a time in UTC")


@dataclass(frozen=True, slots=True)
class SequencedEvent:
    """An event in its place among those of its aggregate; the first is number 1."""

    sequence: int
    event: DomainEvent


class Aggregate:
    """What changes as one, and records an event for every change.

    Its version is the number of events it has ever recorded, so that whoever saves it can tell
    whether another got there first and can number what goes into the outbox.
    """

    def __init__(self, version: int = 0) -> None:
        self._version = version
        self._recorded: list[SequencedEvent] = []

    @property
    def version(self) -> int:
        return self._version

    def record(self, event: DomainEvent) -> None:
        """Take note of a change that has just been made."""
        self._version += 1
        self._recorded.append(SequencedEvent(self._version, event))

    def collect_events(self) -> tuple[SequencedEvent, ...]:
        """Hand over what was recorded since the last time, in order, once."""
        collected = tuple(self._recorded)
        self._recorded.clear()
        return collected
