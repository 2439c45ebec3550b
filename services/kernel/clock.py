"""Time as a dependency: the platform asks a Clock, so that tests can stand at a month's end."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where code gets the time from."""

    def now(self) -> datetime:
        """Wall-clock time, aware and in UTC: for anything stored or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back: for measuring how long something took."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, start: datetime) -> None:
        self._now = _in_utc(start)
        self._monotonic_seconds = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic_seconds

    def advance(self, step: timedelta) -> None:
        """Let time pass, on both clocks."""
        if step < timedelta(0):
            raise ValueError("time only advances; use set() to move the wall clock back")
        self._now += step
        self._monotonic_seconds += step.total_seconds()

    def set(self, instant: datetime) -> None:
        """Move the wall clock alone, either way, as an operator or NTP would."""
        self._now = _in_utc(instant)


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC)
