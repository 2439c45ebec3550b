"""The events of the simulated processor: a bounded journal, and its own small JSON form."""

import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from services.kernel.clock import Clock
from services.kernel.errors import InvalidArgument
from services.kernel.money import Currency, Money
from services.kernel.paging import invalid_page_token
from services.processor.domain.attempt import Attempt
from services.processor.domain.event import EventPage, EventType, EventWindow, ProcessorEvent
from services.processor.domain.verdict import Misfit

_PREFIX: Final = "simevt_"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One event, kept small: most are never read."""

    number: int
    type: EventType
    occurred_at: datetime
    attempt_id: str
    hold: str
    object_id: str
    amount: Money


class Journal:
    """What happened, in order; the oldest events give way to new ones."""

    def __init__(self, clock: Clock, *, max_events: int) -> None:
        self._clock = clock
        self._entries: deque[_Entry] = deque(maxlen=max_events)
        self._count = 0

    def note(
        self, kind: EventType, attempt: Attempt, hold: str, object_id: str, amount: Money
    ) -> None:
        """Add an event that has just happened."""
        self._count += 1
        self._entries.append(
            _Entry(self._count, kind, self._clock.now(), attempt.id, hold, object_id, amount)
        )

    def page(self, window: EventWindow, after: str | None, limit: int) -> EventPage:
        """Some events of the window, oldest first."""
        passed = 0 if after is None else _place(after)
        wanted = (
            entry
            for entry in self._entries
            if entry.number > passed and _is_within(window, entry.occurred_at)
        )
        found = [self.read(_body(entry)) for entry in islice(wanted, limit + 1)]
        page = found[:limit]
        return EventPage(page, page[-1].id if len(found) > limit else None)

    def read(self, body: bytes) -> ProcessorEvent:
        """The event that a body tells of."""
        try:
            told: dict[str, Any] = json.loads(body)
            return ProcessorEvent(
                id=f"{_PREFIX}{_number(told['id'])}",
                type=EventType(told["type"]),
                native_type=str(EventType(told["type"])).lower(),
                occurred_at=datetime.fromisoformat(told["occurred_at"]).astimezone(UTC),
                attempt_id=str(told["attempt_id"]),
                hold=str(told["hold"]),
                object_id=str(told["object_id"]),
                amount=Money(told["amount_minor"], Currency(told["currency"])),
                raw=body,
            )
        except (KeyError, TypeError, ValueError, RecursionError, InvalidArgument):
            raise Misfit("it is no event of the simulated processor's") from None


def _body(entry: _Entry) -> bytes:
    told = {
        "id": f"{_PREFIX}{entry.number}",
        "type": entry.type,
        "occurred_at": entry.occurred_at.isoformat(),
        "attempt_id": entry.attempt_id,
        "hold": entry.hold,
        "object_id": entry.object_id,
        "amount_minor": entry.amount.amount_minor,
        "currency": entry.amount.currency.code,
    }
    return json.dumps(told).encode()


def _number(event_id: object) -> int:
    if not isinstance(event_id, str) or not event_id.startswith(_PREFIX):
        raise Misfit("it is no event of the simulated processor's")
    try:
        return int(event_id.removeprefix(_PREFIX))
    except ValueError:
        raise Misfit("it is no event of the simulated processor's") from None


def _place(after: str) -> int:
    try:
        return _number(after)
    except Misfit:
        raise invalid_page_token() from None


def _is_within(window: EventWindow, moment: datetime) -> bool:
    begins = window.occurred_from is None or moment >= window.occurred_from
    ends = window.occurred_before is None or moment < window.occurred_before
    return begins and ends
