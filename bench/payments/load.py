"""Callers who pay, as many at once as is asked for or so many a second, and what they measured."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Pay = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Round:
    """What one round of one arrangement came to."""

    payments_per_second: float
    p50_ms: float
    p99_ms: float | None = None
    drained_seconds: float | None = None
    """How long after the last answer everything was booked and every event taken away."""


@dataclass(frozen=True)
class Figure:
    """One arrangement: medians of its rounds, and the longest of the drains."""

    name: str
    payments_per_second: float
    rounds: tuple[int, ...]
    p50_ms: float
    p99_ms: float | None
    drained_seconds: float | None
    is_paced: bool

    @classmethod
    def of(cls, name: str, rounds: Sequence[Round], *, is_paced: bool) -> "Figure":
        p99s = [each.p99_ms for each in rounds if each.p99_ms is not None]
        drains = [each.drained_seconds for each in rounds if each.drained_seconds is not None]
        return cls(
            name=name,
            payments_per_second=round(statistics.median(r.payments_per_second for r in rounds), 1),
            rounds=tuple(round(each.payments_per_second) for each in rounds),
            p50_ms=round(statistics.median(each.p50_ms for each in rounds), 2),
            p99_ms=round(statistics.median(p99s), 2) if p99s else None,
            drained_seconds=round(max(drains), 2) if drains else None,
            is_paced=is_paced,
        )


async def at_once(pay: Pay, *, callers: int, seconds: float) -> Round:
    """Each caller pays, again and again, as soon as the last payment is answered."""
    took_seconds: list[float] = []
    began = time.perf_counter()
    ends_at = began + seconds

    async def caller() -> None:
        while (sent_at := time.perf_counter()) < ends_at:
            await pay()
            took_seconds.append(time.perf_counter() - sent_at)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return _round(took_seconds, time.perf_counter() - began)


async def paced(pay: Pay, *, a_second: float, seconds: float) -> Round:
    """So many payments a second, however long each takes; timed from when it was due."""
    took_seconds: list[float] = []
    began = time.perf_counter()

    async def caller(due_at: float) -> None:
        await asyncio.sleep(due_at - time.perf_counter())
        await pay()
        took_seconds.append(time.perf_counter() - due_at)

    dues = [began + place / a_second for place in range(round(a_second * seconds))]
    await asyncio.gather(*(caller(due_at) for due_at in dues))
    return _round(took_seconds, time.perf_counter() - began)


def _round(took_seconds: Sequence[float], elapsed_seconds: float) -> Round:
    cuts = statistics.quantiles(took_seconds, n=100)
    return Round(len(took_seconds) / elapsed_seconds, cuts[49] * 1000, cuts[98] * 1000)
