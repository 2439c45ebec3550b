"""Carrying a payment out: one committed attempt after another, until none is open."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from services.kernel.clock import Clock
from services.kernel.errors import Unavailable
from services.orchestrator.domain.attempt import Attempt, Execution, Order
from services.orchestrator.domain.command import Answer, Command, Decided
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.record import Changes

_PAUSE_SECONDS: Final = 1.0

_log = structlog.get_logger()

Tell = Callable[[Answer], None]
"""Tells the caller, if one still waits."""

Describe = Callable[[Payment], bytes]
"""A payment as callers are told of it."""


class Saves(Protocol):
    """Where changes are committed."""

    async def save(
        self, payment: Payment, changes: Changes, decided: Decided | None = None
    ) -> None: ...


class Router(Protocol):
    """RouterService; whatever it meets, there is an execution, UNKNOWN if need be."""

    async def execute(self, order: Order) -> Execution: ...


class Driver:
    """Drives payments; it calls nobody about an attempt that is not committed."""

    def __init__(
        self,
        payments: Saves,
        router: Router,
        describe: Describe,
        clock: Clock,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._payments = payments
        self._router = router
        self._describe = describe
        self._clock = clock
        self._pause = pause

    async def drive(self, payment: Payment, command: Command | None, tell: Tell) -> None:
        """Go on until the payment is decided or waits; who gave the command is told what came."""
        while (attempt := payment.open_attempt) is not None:
            execution = await self._router.execute(payment.order_for(attempt, self._clock.now()))
            payment.settle(attempt.id, execution, self._clock.now())
            _log_attempt(attempt, execution)
            decided = None
            if command is not None and payment.open_attempt is None:
                answer = Answer(self._describe(payment), command.request_id)
                decided = Decided(command, answer)
            await self._save(payment, decided)
            if decided is not None:
                tell(decided.answer)

    async def _save(self, payment: Payment, decided: Decided | None) -> None:
        """Commit what a processor has said, however long the database is away."""
        changes = payment.collect_changes()
        while True:
            try:
                return await self._payments.save(payment, changes, decided)
            except Unavailable as error:
                _log.warning("what came of an attempt cannot be saved yet", problem=str(error))
            await self._pause(_PAUSE_SECONDS)


def _log_attempt(attempt: Attempt, execution: Execution) -> None:
    _log.info(
        "attempt executed",
        attempt_id=attempt.id,
        operation=str(attempt.operation),
        processor_id=attempt.processor_id,
        outcome=str(execution.outcome),
        error_code=execution.error_code and str(execution.error_code),
        failover_to=execution.failover_to,
        latency_ms=execution.latency_ms,
    )
