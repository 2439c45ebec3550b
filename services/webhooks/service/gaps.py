"""What operators ask and order of gaps: what is missing, and that it be fetched."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

from services.kernel.clock import Clock
from services.kernel.errors import NotFound, Reason
from services.kernel.paging import invalid_page_token
from services.webhooks.domain.call import check_key
from services.webhooks.domain.gap import GapCursor, ListedEvent, Span, Window
from services.webhooks.service.comparing import Comparing

_REACH: Final = timedelta(days=1)


class Calls(Protocol):
    """Where calls are remembered by their keys, with what each came to."""

    async def earlier(self, idempotency_key: str, asked: str) -> int | None: ...

    async def note(self, idempotency_key: str, asked: str, count: int) -> None: ...


class Accounts(Protocol):
    """The lists of events that there are, by a processor that reads each."""

    def names(self) -> Sequence[str]: ...


class Gaps:
    """Answers operators."""

    def __init__(
        self, comparing: Comparing, accounts: Accounts, calls: Calls, clock: Clock
    ) -> None:
        self._comparing = comparing
        self._accounts = accounts
        self._calls = calls
        self._clock = clock

    async def missing(
        self, span: Span, cursor: GapCursor | None, limit: int
    ) -> tuple[Sequence[ListedEvent], GapCursor | None]:
        """What processors list and was never received, and where that goes on."""
        names = self._chosen(span.processor_id)
        cursor = cursor or GapCursor(self._window(span), names[0])
        if cursor.processor_id not in names:
            raise invalid_page_token()
        for place in range(names.index(cursor.processor_id), len(names)):
            name = names[place]
            token = cursor.token if name == cursor.processor_id else ""
            gap = await self._comparing.find(name, cursor.window, token, limit)
            if gap.missing:
                return gap.missing, _next(cursor.window, gap.next_token, names[place:])
        return (), None

    async def backfill(self, idempotency_key: str, span: Span) -> int:
        """Store what is missing; how many events that was."""
        check_key(idempotency_key)
        asked = repr(span)
        earlier = await self._calls.earlier(idempotency_key, asked)
        if earlier is not None:
            return earlier
        window = self._window(span)
        count = 0
        for name in self._chosen(span.processor_id):
            count += await self._comparing.backfill(name, window)
        await self._calls.note(idempotency_key, asked, count)
        return count

    def _window(self, span: Span) -> Window:
        return Window(span.occurred_from or self._clock.now() - _REACH, span.occurred_before)

    def _chosen(self, processor_id: str | None) -> Sequence[str]:
        names = self._accounts.names()
        if not names:
            raise NotFound(
                "no webhook secret is set, so that no account tells anything",
                reason=Reason.PROCESSOR_NOT_FOUND,
            )
        if processor_id is not None and processor_id not in names:
            raise NotFound(
                f"no account is called {processor_id[:64]!r}; there are: {', '.join(names)}",
                reason=Reason.PROCESSOR_NOT_FOUND,
            )
        return names if processor_id is None else (processor_id,)


def _next(window: Window, token: str, names: Sequence[str]) -> GapCursor | None:
    """Where it goes on: in the list of the first of these accounts, else in the next one's."""
    if token:
        return GapCursor(window, names[0], token)
    return GapCursor(window, names[1]) if len(names) > 1 else None
