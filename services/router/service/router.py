"""What the router is asked: to carry out, to look up, and how its breakers stand."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.router.domain.attempt import Execution, Order
from services.router.domain.breaker import BreakerState, CircuitBreaker, Transition
from services.router.service.run import Means, Run

_log = structlog.get_logger()


def log_transition(transition: Transition) -> None:
    """Tell of a breaker that opens, probes or closes."""
    write = _log.warning if transition.after is BreakerState.OPEN else _log.info
    write(
        "circuit breaker changed",
        processor_id=transition.processor_id,
        operation=str(transition.operation),
        before=str(transition.before),
        after=str(transition.after),
        consecutive_failures=transition.consecutive_failures,
        last_failure=transition.last_failure,
    )


class Router:
    """Carries out what was committed, one attempt at one processor at a time."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def execute(self, order: Order, timeout: timedelta) -> Execution:
        """Carry an order out within the time."""
        return await Run(self._means, order, timeout).execute()

    async def look_up(self, order: Order, timeout: timedelta) -> Execution:
        """Find out what became of an order, within the time."""
        return await Run(self._means, order, timeout).look_up()

    def circuit_breakers(
        self,
        processor_id: str | None,
        state: BreakerState | None,
        after: tuple[str, str] | None,
        limit: int,
    ) -> tuple[Sequence[CircuitBreaker], tuple[str, str] | None]:
        """A page of the breakers by processor and operation, and where the next page begins."""
        found = [
            breaker
            for breaker in self._means.breakers.sorted()
            if (processor_id is None or breaker.processor_id == processor_id)
            and (state is None or breaker.state is state)
            and (after is None or _place(breaker) > after)
        ]
        page = found[:limit]
        return page, _place(page[-1]) if len(found) > limit else None


def _place(breaker: CircuitBreaker) -> tuple[str, str]:
    return breaker.processor_id, breaker.operation
