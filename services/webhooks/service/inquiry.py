"""What operators ask and order of events: how they stand, and that they be applied once more."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from services.kernel.errors import NotFound
from services.kernel.ids import WebhookEventId
from services.webhooks.domain.call import check_key
from services.webhooks.domain.event import EventFilter, ReplaySelection, Standing, WebhookEvent

_log = structlog.get_logger()


class Shelf(Protocol):
    """Where events are found."""

    async def find(self, webhook_event_id: str) -> WebhookEvent | None: ...

    async def list_page(
        self, wanted: EventFilter, after: WebhookEventId | None, limit: int
    ) -> Sequence[WebhookEvent]: ...


class Counts(Protocol):
    """Who knows how much waits."""

    async def standing(self, processor_id: str | None) -> Standing: ...


class Replays(Protocol):
    """Who gives commands once more, once for each key."""

    async def replay(self, idempotency_key: str, selection: ReplaySelection) -> int: ...


class Inquiry:
    """Answers operators."""

    def __init__(self, shelf: Shelf, counts: Counts, replays: Replays) -> None:
        self._shelf = shelf
        self._counts = counts
        self._replays = replays

    async def get(self, webhook_event_id: str) -> WebhookEvent:
        """One event with its body."""
        # What no event can be called by is not asked about: PostgreSQL holds no NUL.
        is_name = webhook_event_id.isprintable()
        found = await self._shelf.find(webhook_event_id) if is_name else None
        if found is None:
            raise NotFound(f"there is no webhook event {webhook_event_id[:64]!r}")
        return found

    async def list_page(
        self, wanted: EventFilter, after: WebhookEventId | None, limit: int
    ) -> tuple[Sequence[WebhookEvent], WebhookEventId | None]:
        """Events, newest first, and the one after which the next page begins."""
        found = await self._shelf.list_page(wanted, after, limit + 1)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    async def standing(self, processor_id: str | None) -> Standing:
        """How much waits, and for how long."""
        return await self._counts.standing(processor_id)

    async def replay(self, idempotency_key: str, selection: ReplaySelection) -> int:
        """Have events applied once more; how many those are."""
        check_key(idempotency_key)
        count = await self._replays.replay(idempotency_key, selection)
        _log.info("webhooks replayed", events=count, failed_only=selection.failed_only)
        return count
