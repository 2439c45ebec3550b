"""One order on its way: tries, waits and lookups within the time there is, all written down."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from services.kernel.clock import Clock
from services.kernel.errors import Reason, SwitchyardError
from services.kernel.outcome import Outcome
from services.kernel.retry import MAX_TRIES
from services.router.domain.attempt import Answer, Decision, Execution, Operation, Order, Try
from services.router.domain.breaker import (
    FAILURES_TO_OPEN,
    CircuitBreaker,
    CircuitBreakers,
    Permit,
)
from services.router.domain.failure import (
    answer_for_error,
    failover_rule,
    held_off,
    in_doubt,
    out_of_time,
    says_nothing_of_before,
    signal_of,
)

# Fewer than open a breaker, so that no attempt opens one by itself.
_LOOKUPS_MAX: Final = FAILURES_TO_OPEN - 1
_LOOKUP_RESERVE_MAX_SECONDS: Final = 5.0
_LOOKUP_RESERVE_SHARE: Final = 0.25
_SENDING_MIN_SECONDS: Final = 0.02


class Processors(Protocol):
    """ProcessorService; it raises the kernel's errors."""

    async def send(self, operation: Operation, order: Order, timeout_seconds: float) -> Answer: ...


class Counts(Protocol):
    """What is counted of each order."""

    def count_try(self, operation: Operation, outcome: Outcome) -> None: ...

    def count_failover(self, rule: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What every run works with."""

    processors: Processors
    breakers: CircuitBreakers
    counts: Counts
    clock: Clock
    chance: Callable[[], float] = random.random
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class Run:
    """The carrying out of one order."""

    def __init__(self, means: Means, order: Order, timeout: timedelta) -> None:
        self._means = means
        self._order = order
        timeout_seconds = timeout.total_seconds()
        self._ends_at = means.clock.monotonic() + timeout_seconds
        # Kept back of every try, so that an answer that is lost can be looked up in time.
        self._reserve_seconds = min(
            timeout_seconds * _LOOKUP_RESERVE_SHARE, _LOOKUP_RESERVE_MAX_SECONDS
        )
        self._decisions: list[Decision] = []
        self._tries: list[Try] = []

    async def execute(self) -> Execution:
        """Carry the order out as far as it goes, and say where the next attempt might go."""
        order = self._order
        if order.is_key_forgotten(self._means.clock.now()):
            message = "the processor may have forgotten the key: looked up, never sent again"
            self._decide("key.expired", message)
            answer = await self._look_up(in_doubt(order.processor_id, message))
        else:
            answer = await self._send_until_settled()
            if order.may_have_been_sent and says_nothing_of_before(answer):
                self._decide(
                    "sent.before", f"{_told(answer)}, which says nothing of the first time"
                )
                answer = await self._look_up(in_doubt(order.processor_id, answer.message))
        return self._execution(answer, self._failover(answer))

    async def look_up(self) -> Execution:
        """Only find out what became of the order."""
        message = "what became of the attempt cannot be said yet"
        return self._execution(await self._look_up(in_doubt(self._order.processor_id, message)))

    async def _send_until_settled(self) -> Answer:
        order = self._order
        answer: Answer | None = None
        for number in range(1, min(order.retry_policy.max_tries, MAX_TRIES) + 1):
            if answer is not None and not await self._wait_to_repeat(answer, number):
                return answer
            seconds = self._seconds_left() - self._reserve_seconds
            if seconds < _SENDING_MIN_SECONDS:
                self._decide("time.none_left", "no time is left to send it in")
                return answer or out_of_time(order.processor_id)
            tried = await self._try(order.operation, seconds)
            if tried is None:
                return answer or held_off(order.processor_id)
            answer = tried
            if answer.outcome is Outcome.UNKNOWN:
                answer = await self._look_up(answer)
            if not answer.may_be_repeated:
                return answer
        assert answer is not None, "there is at least one try"
        self._decide("retry.exhausted", f"tried {len(self._tries)} times")
        return answer

    async def _wait_to_repeat(self, answer: Answer, number: int) -> bool:
        """Wait as long as the policy says, where there is time and a processor to wait for."""
        order, means = self._order, self._means
        if not means.breakers.would_admit(order.processor_id, order.operation):
            self._decide_held_off(order.processor_id, order.operation)
            return False
        wait_seconds = order.retry_policy.backoff(number - 1, means.chance()).total_seconds()
        left_seconds = self._seconds_left() - self._reserve_seconds
        if wait_seconds + _SENDING_MIN_SECONDS > left_seconds:
            self._decide("retry.no_time", f"no time is left for try {number}")
            return False
        self._decide(
            f"retry.{answer.error_code or 'unknown'}",
            f"try {number} in {wait_seconds * 1000:.0f} ms, under the same key",
        )
        await means.pause(wait_seconds)
        return True

    async def _look_up(self, answer: Answer) -> Answer:
        """Ask until it is known what became of the order, or the time is up."""
        self._decide("lookup.unknown", "it may have happened: looked up, never sent elsewhere")
        policy = self._order.retry_policy
        for number in range(1, _LOOKUPS_MAX + 1):
            if number > 1:
                wait = policy.backoff(number - 1, self._means.chance()).total_seconds()
                if wait + _SENDING_MIN_SECONDS > self._seconds_left():
                    break
                await self._means.pause(wait)
            if self._seconds_left() < _SENDING_MIN_SECONDS:
                break
            found = await self._try(Operation.LOOKUP, self._seconds_left())
            if found is None:
                break
            if found.outcome is not Outcome.UNKNOWN:
                self._decide("lookup.found", f"the attempt {_told(found)}")
                return found
        self._decide("lookup.unresolved", "still unknown; it stays in doubt until it is looked up")
        return answer

    async def _try(self, operation: Operation, timeout_seconds: float) -> Answer | None:
        """Send once; None when the breaker lets nothing through."""
        order, means = self._order, self._means
        breaker = means.breakers.of(order.processor_id, operation)
        permit = breaker.admit()
        if permit is None:
            self._decide_held_off(order.processor_id, operation)
            return None
        if permit.is_probe:
            self._decide("breaker.probe", f"the one {operation} that finds out whether it is back")
        sent_at = means.clock.now()
        answer = await self._answered(breaker, permit, timeout_seconds)
        breaker.bring_back(permit, signal_of(operation, answer), _told(answer))
        means.counts.count_try(operation, answer.outcome)
        self._tries.append(Try(len(self._tries) + 1, operation, sent_at, answer))
        return answer

    async def _answered(
        self, breaker: CircuitBreaker, permit: Permit, timeout_seconds: float
    ) -> Answer:
        order, means = self._order, self._means
        try:
            return await means.processors.send(breaker.operation, order, timeout_seconds)
        except SwitchyardError as error:
            self._decide("processor.no_result", f"there is no result: {error.message}")
            if error.reason is Reason.PROCESSOR_NOT_FOUND:
                means.breakers.forget(order.processor_id)
            return answer_for_error(order.processor_id, breaker.operation, error)
        except BaseException:
            breaker.give_back(permit)
            raise

    def _failover(self, answer: Answer) -> str | None:
        """Where the next attempt might go; what is captured, voided or returned stays put."""
        order, means = self._order, self._means
        if order.operation is not Operation.AUTHORIZE or answer.outcome is not Outcome.FAILED:
            return None
        rule = failover_rule(answer, on_soft_decline=order.failover_on_soft_decline)
        if rule is None:
            self._decide("failover.not_eligible", f"{_told(answer)}: another would not do better")
            return None
        for processor_id in order.alternatives:
            if means.breakers.would_admit(processor_id, order.operation):
                self._decide(rule, f"{_told(answer)}: {processor_id} could take it instead")
                means.counts.count_failover(rule)
                return processor_id
            self._decide_held_off(processor_id, order.operation)
        self._decide("failover.none_left", f"{_told(answer)}, and there is nobody left to take it")
        return None

    def _execution(self, answer: Answer, failover_to: str | None = None) -> Execution:
        return Execution(answer, failover_to, tuple(self._decisions), tuple(self._tries))

    def _decide_held_off(self, processor_id: str, operation: Operation) -> None:
        last_failure = self._means.breakers.of(processor_id, operation).last_failure
        message = f"no {operation} passes; the last one {last_failure}"
        self._decide("breaker.open", message, processor_id)

    def _decide(self, rule: str, message: str, processor_id: str = "") -> None:
        about = processor_id or self._order.processor_id
        self._decisions.append(Decision(about, rule, message, self._means.clock.now()))

    def _seconds_left(self) -> float:
        return self._ends_at - self._means.clock.monotonic()


def _told(answer: Answer) -> str:
    """The answer in a few words."""
    words = f"{answer.outcome}: {answer.error_code}" if answer.error_code else str(answer.outcome)
    return f"{words} ({answer.message})" if answer.message else words
