"""The circuit breaker: keeps calls away from a processor that is down, and sends one to find out.

Each call that may pass gets a permit and brings it back with what it learnt. A permit belongs to a
generation, which a change of state ends: what a call from before an opening learns too late counts
for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from services.kernel.clock import Clock
from services.router.domain.attempt import Operation
from services.router.domain.failure import Signal

FAILURES_TO_OPEN: Final = 5
PROBE_AFTER: Final = timedelta(seconds=60)


@unique
class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call."""

    generation: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state, to be told of."""

    processor_id: str
    operation: Operation
    before: BreakerState
    after: BreakerState
    consecutive_failures: int
    last_failure: str


class CircuitBreaker:
    """One for each processor and operation."""

    def __init__(
        self,
        processor_id: str,
        operation: Operation,
        clock: Clock,
        on_change: Callable[[Transition], None],
    ) -> None:
        self.processor_id = processor_id
        self.operation = operation
        self.state = BreakerState.CLOSED
        self.consecutive_failures = 0
        self.opening_count = 0
        self.opened_at: datetime | None = None
        self.last_failure = ""
        self._clock = clock
        self._on_change = on_change
        self._generation = 0
        self._probe_at = 0.0

    @property
    def probe_at(self) -> datetime | None:
        """When the next probe may pass; None unless it is open."""
        if self.state is not BreakerState.OPEN:
            return None
        wait_seconds = max(self._probe_at - self._clock.monotonic(), 0.0)
        return self._clock.now() + timedelta(seconds=wait_seconds)

    @property
    def would_admit(self) -> bool:
        """Whether a call would pass now."""
        return self.state is BreakerState.CLOSED or self._is_probe_due

    def admit(self) -> Permit | None:
        """Leave to call, or None. When a probe is due, the first to ask makes it, alone."""
        if self.state is BreakerState.CLOSED:
            return Permit(self._generation, is_probe=False)
        if not self._is_probe_due:
            return None
        self._change(BreakerState.HALF_OPEN)
        return Permit(self._generation, is_probe=True)

    def bring_back(self, permit: Permit, signal: Signal, message: str) -> None:
        """Learn from a call that was answered."""
        if permit.generation != self._generation:
            return
        if signal is Signal.DOWN:
            self.consecutive_failures += 1
            self.last_failure = message
            if permit.is_probe or self.consecutive_failures >= FAILURES_TO_OPEN:
                self._open()
        elif permit.is_probe or signal is Signal.ALIVE:
            self.consecutive_failures = 0
            if permit.is_probe:
                self._change(BreakerState.CLOSED)

    def give_back(self, permit: Permit) -> None:
        """Take back the permit of a call that was given up, so that another may probe."""
        if permit.is_probe and permit.generation == self._generation:
            self._probe_at = self._clock.monotonic()
            self._change(BreakerState.OPEN)

    @property
    def _is_probe_due(self) -> bool:
        return self.state is BreakerState.OPEN and self._clock.monotonic() >= self._probe_at

    def _open(self) -> None:
        self.opened_at = self._clock.now()
        self.opening_count += 1
        self._probe_at = self._clock.monotonic() + PROBE_AFTER.total_seconds()
        self._change(BreakerState.OPEN)

    def _change(self, after: BreakerState) -> None:
        before, self.state = self.state, after
        self._generation += 1
        self._on_change(
            Transition(
                self.processor_id,
                self.operation,
                before,
                after,
                self.consecutive_failures,
                self.last_failure,
            )
        )


class CircuitBreakers:
    """Those of every processor that was ever called, each made when it is first asked for."""

    def __init__(self, clock: Clock, on_change: Callable[[Transition], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._breakers: dict[tuple[str, Operation], CircuitBreaker] = {}

    def of(self, processor_id: str, operation: Operation) -> CircuitBreaker:
        key = (processor_id, operation)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = CircuitBreaker(processor_id, operation, self._clock, self._on_change)
            self._breakers[key] = breaker
        return breaker

    def would_admit(self, processor_id: str, operation: Operation) -> bool:
        """Whether a call would pass now; one that was never made would."""
        breaker = self._breakers.get((processor_id, operation))
        return breaker is None or breaker.would_admit

    def forget(self, processor_id: str) -> None:
        """Drop those of a processor that does not exist, so that wrong names do not add up."""
        for key in [key for key in self._breakers if key[0] == processor_id]:
            del self._breakers[key]

    def sorted(self) -> list[CircuitBreaker]:
        """All of them, by processor and operation."""
        return [self._breakers[key] for key in sorted(self._breakers)]
