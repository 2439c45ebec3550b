"""The errands of one desk: attempts that are being carried out, beside one another.

Of some it is certain that nobody was asked yet, and only those are simply sent. Every other is
looked up first: whoever drove the payment before may have sent it.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from services.kernel.crash_points import CrashPoint
from services.kernel.ids import AttemptId
from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import Attempt, Execution, Order
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import Overtaken, Written
from services.orchestrator.domain.state import AttemptState
from services.orchestrator.service.change import Change
from services.orchestrator.service.means import Means

_PAUSE_SECONDS: Final = 1.0
_REST_SECONDS: Final = 10.0

_log = structlog.get_logger()


class Errands:
    """What is under way for one payment in this process; what comes of it is a change."""

    def __init__(
        self, means: Means, put: Callable[[Change], None], wake: Callable[[], None]
    ) -> None:
        self._means = means
        self._put = put
        self._wake = wake
        self._running: dict[AttemptId, asyncio.Task[None]] = {}
        # Attempts of which it is certain that nobody was asked yet, and those that were asked here.
        self._unsent: set[AttemptId] = set()
        self._sent: set[AttemptId] = set()
        # Attempts whose outcome could not be recorded just now.
        self._resting: set[AttemptId] = set()

    @property
    def is_idle(self) -> bool:
        return not self._running and not self._resting

    @property
    def is_running(self) -> bool:
        return bool(self._running)

    def trust(self, unsent: Iterable[AttemptId]) -> None:
        """Of these it is certain that nobody was asked yet."""
        self._unsent.update(unsent)

    def distrust(self) -> None:
        """Whatever was not sent here, somebody else may have sent."""
        self._unsent.clear()

    def begin(self, payment: Payment, epoch: int) -> None:
        """Begin whatever is to be carried out by now and is not yet, as the driver in an epoch."""
        now = self._now()
        for attempt in (*payment.to_send, *payment.to_look_up(now)):
            if attempt.id not in self._running and attempt.id not in self._resting:
                self._running[attempt.id] = asyncio.create_task(
                    self._trace_out(attempt, payment.order_for(attempt, now), epoch),
                    name=f"attempt {attempt.id}",
                )

    def abandon(self) -> None:
        """Go on with nothing."""
        for task in self._running.values():
            task.cancel()

    async def _trace_out(self, attempt: Attempt, order: Order, epoch: int) -> None:
        words = {
            "payment_id": order.payment_id,
            "merchant_id": order.merchant_id,
            "attempt_id": attempt.id,
            "processor_id": attempt.processor_id,
        }
        with self._means.trace(f"attempt {attempt.operation}", order.traceparent, words):
            await self._carry_out(attempt, order, epoch)

    async def _carry_out(self, attempt: Attempt, order: Order, epoch: int) -> None:
        """Ask the processor, and have what it says recorded."""
        source = "lookup" if attempt.state is not AttemptState.OPEN else "answer"
        try:
            execution = await self._asked(attempt, order)
        except Exception:  # noqa: BLE001 -- a defect must neither end the desk nor spin
            _log.exception("carrying an attempt out failed", attempt_id=attempt.id)
            await self._means.pause(_PAUSE_SECONDS)
        else:
            _log_attempt(order, execution)
            change = Change(
                lambda payment: _settle(payment, attempt.id, execution, self._now(), source),
                is_fact=True,
                # Who was overtaken may have failed where another, under the same key, does not.
                epoch=None if execution.outcome is Outcome.SUCCEEDED else epoch,
            )
            change.done.add_done_callback(partial(self._recorded, attempt.id))
            self._put(change)
        finally:
            self._running.pop(attempt.id, None)
            self._wake()

    def _recorded(self, attempt_id: AttemptId, done: "asyncio.Future[Written]") -> None:
        """What the database will not have is asked for again, but not at once."""
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            if isinstance(done.result(), Overtaken):
                _log.warning("who was overtaken is not heard", attempt_id=attempt_id)
            return
        _log.error("what came of an attempt was refused", attempt_id=attempt_id, exc_info=error)
        self._resting.add(attempt_id)
        asyncio.get_running_loop().call_later(_REST_SECONDS, self._rested, attempt_id)

    def _rested(self, attempt_id: AttemptId) -> None:
        self._resting.discard(attempt_id)
        self._wake()

    async def _asked(self, attempt: Attempt, order: Order) -> Execution:
        if attempt.state is AttemptState.IN_DOUBT and self._now() < attempt.key_expires_at:
            # What never arrived is never found: only its own key brings it to an end.
            return await self._asked_again(order)
        if attempt.state is not AttemptState.OPEN:
            return await self._means.router.look_up(order)
        if attempt.id in self._sent or attempt.id not in self._unsent:
            return await self._asked_again(order)
        self._sent.add(attempt.id)
        self._means.reach(CrashPoint.ATTEMPT_COMMITTED, attempt.operation)
        forbidden = await self._means.forbid(order)
        if forbidden is not None:
            return forbidden
        execution = await self._means.router.execute(order)
        self._means.reach(CrashPoint.PROCESSOR_ANSWERED, attempt.operation)
        return execution

    async def _asked_again(self, order: Order) -> Execution:
        """Ask about an attempt that somebody may have sent already, and only then send it."""
        found = await self._means.router.look_up(order)
        if found.outcome is not Outcome.UNKNOWN:
            return found
        return await self._means.router.execute(replace(order, sent_before=True))

    def _now(self) -> datetime:
        return self._means.clock.now()


def _settle(
    payment: Payment, attempt_id: AttemptId, execution: Execution, now: datetime, source: str
) -> None:
    payment.settle(attempt_id, execution, now, source)


def _log_attempt(order: Order, execution: Execution) -> None:
    attempt = order.attempt
    _log.info(
        "attempt executed",
        payment_id=order.payment_id,
        merchant_id=order.merchant_id,
        attempt_id=attempt.id,
        operation=str(attempt.operation),
        processor_id=attempt.processor_id,
        outcome=str(execution.outcome),
        error_code=execution.error_code and str(execution.error_code),
        failover_to=execution.failover_to,
        latency_ms=execution.latency_ms,
    )
