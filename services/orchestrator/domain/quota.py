"""Quotas: so many calls, or so much money, of one subject within a span of time that slides.

What was drawn is remembered with its moment, in microseconds. A quota of at most a thousand is kept
to exactly. A larger one, or one of money alone, remembers by sub-windows: what falls into one is
forgotten when the last of it leaves the window, so that there is never more than the quota allows,
and now and then a little less.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from typing import Final, NamedTuple

from services.kernel.errors import ResourceExhausted
from services.kernel.ids import MerchantId

EXACT_MAX: Final = 1_000
SUB_WINDOWS: Final = 240
_TICK: Final = timedelta(microseconds=1)


class QuotaKey(NamedTuple):
    """Of whom something is counted, and by which rule."""

    merchant_id: MerchantId
    rule: str
    subject: str


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one subject may draw within a window; zero and None stand for no bound."""

    key: QuotaKey
    window: timedelta
    max_count: int = 0
    max_amount_minor: int | None = None

    @property
    def window_us(self) -> int:
        return self.window // _TICK

    @property
    def sub_window_us(self) -> int:
        """Within how much time two draws may be remembered as one."""
        return 1 if 0 < self.max_count <= EXACT_MAX else max(self.window_us // SUB_WINDOWS, 1)


@dataclass(frozen=True, slots=True)
class Draw:
    """What one call takes of a quota: one of its count, and so much money."""

    quota: Quota
    amount_minor: int = 0


Draws = tuple[Draw, ...]


class Entry(NamedTuple):
    """What was drawn at one moment, or up to it in one sub-window."""

    at_us: int
    call_count: int
    amount_minor: int


class Tally:
    """What one subject has drawn of one quota, oldest first."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = deque(entries)
        self._count = sum(entry.call_count for entry in self._entries)
        self._amount_minor = sum(entry.amount_minor for entry in self._entries)

    @property
    def entries(self) -> Sequence[Entry]:
        return tuple(self._entries)

    def wait_for(self, draw: Draw, now_us: int) -> int | None:
        """The microseconds until a draw fits into its quota; None when it does now."""
        quota = draw.quota
        self._forget(now_us - quota.window_us)
        count_over = self._count + 1 - quota.max_count if quota.max_count else 0
        amount_over = 0
        if quota.max_amount_minor is not None:
            amount_over = self._amount_minor + draw.amount_minor - quota.max_amount_minor
        if count_over <= 0 and amount_over <= 0:
            return None
        for entry in self._entries:
            count_over -= entry.call_count
            amount_over -= entry.amount_minor
            if count_over <= 0 and amount_over <= 0:
                return entry.at_us + quota.window_us - now_us
        return quota.window_us

    def add(self, draw: Draw, now_us: int) -> None:
        """Remember a draw; the moments of one subject never go back, whatever a clock does."""
        newest = self._entries[-1] if self._entries else None
        at_us = now_us if newest is None else max(now_us, newest.at_us)
        count, amount_minor = 1, draw.amount_minor
        sub_window_us = draw.quota.sub_window_us
        if newest is not None and newest.at_us // sub_window_us == at_us // sub_window_us:
            self._entries.pop()
            count, amount_minor = count + newest.call_count, amount_minor + newest.amount_minor
        self._entries.append(Entry(at_us, count, amount_minor))
        self._count += 1
        self._amount_minor += draw.amount_minor

    def _forget(self, until_us: int) -> None:
        while self._entries and self._entries[0].at_us <= until_us:
            gone = self._entries.popleft()
            self._count -= gone.call_count
            self._amount_minor -= gone.amount_minor


def seconds_text(span: timedelta) -> str:
    """A span in seconds, without the decimals that whole ones have."""
    return str(span.total_seconds()).removesuffix(".0")


def draw_all(
    tallies: Mapping[QuotaKey, Tally], asked: Mapping[int, Draws], now_us: int
) -> Mapping[int, ResourceExhausted]:
    """Draw for each call in its turn; whose quotas do not all have room draws nothing, and why."""
    refused = {}
    for place, draws in asked.items():
        waits = [(tallies[draw.quota.key].wait_for(draw, now_us), draw.quota) for draw in draws]
        full = [(wait_us, quota) for wait_us, quota in waits if wait_us is not None]
        if full:
            refused[place] = _exhausted(*max(full, key=itemgetter(0)))
            continue
        for draw in draws:
            tallies[draw.quota.key].add(draw, now_us)
    return refused


def _exhausted(wait_us: int, quota: Quota) -> ResourceExhausted:
    bounds = {"rule": quota.key.rule, "window_seconds": seconds_text(quota.window)}
    if quota.max_count:
        bounds["max_count"] = str(quota.max_count)
    if quota.max_amount_minor is not None:
        bounds["max_amount_minor"] = str(quota.max_amount_minor)
    return ResourceExhausted(
        f"what {quota.key.rule} allows within {bounds['window_seconds']} s is used up",
        details=bounds,
        retry_after=wait_us * _TICK,
    )
