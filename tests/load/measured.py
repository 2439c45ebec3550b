"""What was promised, what was measured, and whether it held."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One promise."""

    aim: str
    measured: str
    is_held: bool
    needs_quiet: bool = False
    """Whether a small size, or a machine that has much else to do, may break it by itself."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything is sent; R60's own at scale 1."""

    scale: float

    @property
    def intents(self) -> int:
        return self._of(1_000, at_least=50)

    @property
    def same_key(self) -> int:
        return self._of(100, at_least=20)

    @property
    def burst(self) -> int:
        """Deliveries at once, repeats included."""
        return self._of(10_000, at_least=100)

    @property
    def stream_seconds(self) -> int:
        return self._of(60, at_least=2)

    @property
    def stream_per_second(self) -> int:
        return self._of(100, at_least=20)

    @property
    def slow(self) -> int:
        return self._of(100, at_least=20)

    @property
    def challenged(self) -> int:
        return self._of(100, at_least=5)

    @property
    def faulty(self) -> int:
        return self._of(5_000, at_least=100)

    @property
    def scarce(self) -> int:
        return self._of(1_000, at_least=30)

    def _of(self, full: int, *, at_least: int) -> int:
        return max(at_least, round(full * self.scale))


def percentile(seconds: Sequence[float], percent: int) -> float:
    """The value that so many percent of them do not exceed."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]
