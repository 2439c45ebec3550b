"""What is done to a process: at which place it dies, and with which operation."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.kernel.crash_points import CrashPoint

OPERATIONS: Final = ("authorize", "capture", "void", "refund")
_POSTINGS: Final = ("capture", "refund")

_BY_OPERATION: Final = (
    CrashPoint.ATTEMPT_COMMITTED,
    CrashPoint.PROCESSOR_ANSWERED,
    CrashPoint.RESULT_SAVED,
)
_BY_POSTING: Final = (CrashPoint.CAPTURED_NOT_POSTED, CrashPoint.POSTED_NOT_MARKED)
# How often a place is passed before it is the last one.
_CHANCES: Final = (1.0, 0.5, 0.25)
_ANY_MOMENT_MAX_SECONDS: Final = 0.8


@dataclass(frozen=True, slots=True)
class Blow:
    """One death; without a point it comes after some time, wherever the process is."""

    point: CrashPoint | None
    operation: str
    chance: float
    after_seconds: float
    seed: int

    @property
    def crash_at(self) -> str:
        """As SWITCHYARD_CRASH_AT says it."""
        if self.point is None:
            return ""
        operation = f"/{self.operation}" if self.operation else ""
        return f"{self.point}{operation}:{self.chance}"

    @property
    def name(self) -> str:
        if self.point is None:
            return "any moment"
        return f"{self.point} ({self.operation})" if self.operation else str(self.point)


def places(*, broker: bool) -> tuple[tuple[CrashPoint | None, str], ...]:
    """Every place at which a process can die; with a broker there is one more."""
    return (
        (None, ""),
        (None, ""),
        (CrashPoint.INTENT_COMMITTED, ""),
        *((point, operation) for point in _BY_OPERATION for operation in OPERATIONS),
        *((point, operation) for point in _BY_POSTING for operation in _POSTINGS),
        (CrashPoint.CONSUMED_NOT_ACKNOWLEDGED, ""),
        (CrashPoint.WEBHOOK_STORED, ""),
        *([(CrashPoint.PUBLISHED_NOT_MARKED, "")] if broker else []),
    )


def blows(chance: random.Random, *, broker: bool) -> Iterator[Blow]:
    """Blows without end: every place before any is repeated, in an order that the seed decides."""
    while True:
        order = list(places(broker=broker))
        chance.shuffle(order)
        for point, operation in order:
            yield Blow(
                point,
                operation,
                chance.choice(_CHANCES),
                chance.uniform(0, _ANY_MOMENT_MAX_SECONDS),
                chance.randrange(2**32),
            )
