"""Comparing what processors list with what was received, and fetching the difference.

A list is read page by page from where the last comparison ended. What is listed and not stored is
noted as missing; what is still missing a while later was lost, and is stored as if delivered, but
for the signature. All of this goes by the processor's clock; only the while is measured on ours.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from services.kernel.clock import Clock
from services.kernel.errors import InvalidArgument, Unavailable
from services.webhooks.domain.delivery import read_delivery
from services.webhooks.domain.gap import (
    LONGEST_SPAN,
    SHORTEST_SPAN,
    ListedEvent,
    ListPage,
    MissingEvent,
    Progress,
    Window,
    next_window,
)
from services.webhooks.service.receiving import Inbox, new_event

_PAGE: Final = 50

_log = structlog.get_logger()


class Lists(Protocol):
    """The processors' own lists of events."""

    async def page(self, processor_id: str, window: Window, token: str, size: int) -> ListPage: ...


class Tally(Protocol):
    """Which events are stored, which are missing, and how far each list was compared."""

    async def unknown(self, event_ids: Sequence[str]) -> frozenset[str]:
        """Those that are not stored."""
        ...

    async def begin(self, processor_id: str, interval: timedelta) -> tuple[datetime | None] | None:
        """Take the next comparison, unless somebody has; answers how far the last one got."""
        ...

    async def note_missing(
        self, missing: Sequence[MissingEvent], now: datetime, grace: timedelta
    ) -> frozenset[str]:
        """Keep what is missing; answers which of them have been for as long as the grace."""
        ...

    async def finish(self, processor_id: str, progress: Progress) -> None:
        """Remember how far the list was compared, and forget what is missing no more."""
        ...


@dataclass(frozen=True, slots=True)
class Gap:
    """One page's worth of missing events, and where the list goes on."""

    missing: Sequence[ListedEvent]
    next_token: str


class Comparing:
    """Finds what was not delivered, and takes it in."""

    def __init__(
        self,
        lists: Lists,
        tally: Tally,
        inbox: Inbox,
        clock: Clock,
        *,
        interval: timedelta,
        grace: timedelta,
    ) -> None:
        """`grace` is how long a delivery is waited for before the event counts as lost."""
        self._lists = lists
        self._tally = tally
        self._inbox = inbox
        self._clock = clock
        self._interval = interval
        self._grace = grace
        self._spans: defaultdict[str, timedelta] = defaultdict(lambda: LONGEST_SPAN)

    async def compare(self, processor_id: str) -> bool:
        """One comparison, if one is due; whether more history is left to be compared."""
        begun = await self._tally.begin(processor_id, self._interval)
        if begun is None:
            return False
        now = self._clock.now()
        window = next_window(begun[0], self._spans[processor_id], now)
        try:
            waiting_since, seen = await self._read(processor_id, window, now)
        except Unavailable as error:
            # It may have been too much to list at once.
            self._spans[processor_id] = max(self._spans[processor_id] / 2, SHORTEST_SPAN)
            _log.warning("events not compared", processor_id=processor_id, problem=str(error))
            return False
        self._spans[processor_id] = min(self._spans[processor_id] * 2, LONGEST_SPAN)
        # Nothing that is still awaited is left behind.
        through = waiting_since or window.occurred_before or seen or begun[0]
        is_complete = window.occurred_before is None or waiting_since is not None
        await self._tally.finish(processor_id, Progress(through, is_complete))
        return not is_complete

    async def backfill(self, processor_id: str, window: Window) -> int:
        """Store all that is listed in a window and was not received; how many that was."""
        stored = 0
        async with aclosing(self._pages(processor_id, window)) as pages:
            async for listed in pages:
                for event in await self._missing(listed):
                    stored += await self._take_in(event)
        return stored

    async def find(self, processor_id: str, window: Window, token: str, size: int) -> Gap:
        """The missing events of the next page that has any."""
        while True:
            page = await self._lists.page(processor_id, window, token, size)
            missing = await self._missing(page.events)
            token = page.next_token
            if missing or not token:
                return Gap(missing, token)

    async def _read(
        self, processor_id: str, window: Window, now: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """Go through a window; since when something is awaited, and when the last event was."""
        waiting_since: datetime | None = None
        seen: datetime | None = None
        async with aclosing(self._pages(processor_id, window)) as pages:
            async for listed in pages:
                seen = listed[-1].occurred_at if listed else seen
                waiting = await self._settle(await self._missing(listed), now)
                if waiting and waiting_since is None:
                    waiting_since = waiting[0].occurred_at
        return waiting_since, seen

    async def _settle(self, missing: Sequence[ListedEvent], now: datetime) -> Sequence[ListedEvent]:
        """Take in what has been missing for long enough; what is left may still be delivered."""
        if not missing:
            return ()
        lost = await self._tally.note_missing(
            [_named(event) for event in missing], now, self._grace
        )
        for event in missing:
            if event.event_id in lost:
                await self._take_in(event)
        return [event for event in missing if event.event_id not in lost]

    async def _take_in(self, event: ListedEvent) -> bool:
        try:
            delivery = read_delivery(event.body)
        except InvalidArgument as refusal:
            # It stays among what is missing, where it is seen.
            _log.error(
                "listed event not understood",
                processor_id=event.processor_id,
                processor_event_id=event.event_id,
                problem=refusal.message,
            )
            return False
        now = self._clock.now()
        stored = await self._inbox.add(new_event(delivery, event.processor_id, now, verified=False))
        if not stored.duplicate:
            _log.warning(
                "webhook fetched that was not delivered",
                webhook_event_id=stored.id,
                processor_id=event.processor_id,
                processor_event_id=event.event_id,
                event_type=event.event_type,
                occurred_at=event.occurred_at.isoformat(),
            )
        return not stored.duplicate

    async def _missing(self, listed: Sequence[ListedEvent]) -> Sequence[ListedEvent]:
        if not listed:
            return ()
        unknown = await self._tally.unknown([event.event_id for event in listed])
        return [event for event in listed if event.event_id in unknown]

    async def _pages(
        self, processor_id: str, window: Window
    ) -> AsyncGenerator[Sequence[ListedEvent]]:
        token = ""
        while True:
            page = await self._lists.page(processor_id, window, token, _PAGE)
            yield page.events
            token = page.next_token
            if not token:
                return


def _named(event: ListedEvent) -> MissingEvent:
    return MissingEvent(event.processor_id, event.event_id, event.event_type, event.occurred_at)
