"""The simulated processor: deterministic, and as fast as it gets.

It keeps the promises of a real one: a key does a thing once, what was done can be looked up, and
under faults it behaves as on a bad day. It forgets when the process ends, and the oldest payments
when there are too many; what must outlive that runs against the sandbox.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from services.kernel.clock import Clock
from services.kernel.money import Currency, Money
from services.kernel.outcome import ErrorCode, Outcome
from services.processor.adapters.simulated.cards import Behaviour, read_token
from services.processor.adapters.simulated.events import Journal
from services.processor.adapters.simulated.faults import Fault, Faults, chance
from services.processor.domain.attempt import Attempt, Operation
from services.processor.domain.event import EventPage, EventType, EventWindow, ProcessorEvent
from services.processor.domain.verdict import (
    Echo,
    Misfit,
    NoAnswer,
    NotSent,
    Redirect,
    Verdict,
    failed,
    unknown,
)

_REFUND_SETTLES_AFTER: Final = timedelta(seconds=2)


@dataclass(slots=True)
class _Payment:
    """What the processor keeps of one hold."""

    hold: str
    authorization: Attempt
    state: EventType
    captured_minor: int = 0
    refunded_minor: int = 0
    keys: list[str] = field(default_factory=list)
    attempt_ids: list[str] = field(default_factory=list)

    @property
    def captured(self) -> Money:
        return Money(self.captured_minor, self.authorization.amount.currency)


class SimulatedAdapter:
    """One account at a processor that is not there."""

    def __init__(
        self,
        clock: Clock,
        faults: Faults,
        *,
        seed: int = 0,
        latency_ms: float = 0,
        latency_spread_ms: float = 0,
        max_payments: int = 100_000,
    ) -> None:
        self.secret_names: frozenset[str] = frozenset()
        self._clock = clock
        self._faults = faults
        self._seed = seed
        self._latency_ms = latency_ms
        self._latency_spread_ms = latency_spread_ms
        self._max_payments = max_payments
        self._payments: dict[str, _Payment] = {}
        self._answers: dict[str, tuple[str, Verdict]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._journal = Journal(clock, max_events=4 * max_payments)

    async def authorize(self, attempt: Attempt, key: str) -> Verdict:
        """Hold the amount, or decline as the token's card would."""
        return await self._carry_out(attempt, key, self._authorize)

    async def capture(self, attempt: Attempt, key: str) -> Verdict:
        """Take the amount."""
        return await self._carry_out(attempt, key, self._capture)

    async def void(self, attempt: Attempt, key: str) -> Verdict:
        """Release the hold."""
        return await self._carry_out(attempt, key, self._void)

    async def refund(self, attempt: Attempt, key: str) -> Verdict:
        """Return the amount."""
        return await self._carry_out(attempt, key, self._refund)

    async def lookup(self, attempt: Attempt, key: str | None) -> Verdict:
        """What was said of the attempt, as it stands by now."""
        fault = await self._arrive(Operation.LOOKUP, key or attempt.id)
        if fault in (Fault.SERVER_ERROR, Fault.RATE_LIMITED):
            raise NoAnswer(f"simulated: {fault}")
        verdict = self._verdicts.get(attempt.id)
        if verdict is None:
            nothing = {"problem": "nothing found"}
            return await self._tell(unknown(ErrorCode.PROCESSING_ERROR, raw=nothing), fault)
        return await self._tell(self._as_it_stands(attempt, verdict), fault)

    def read_event(self, body: bytes) -> ProcessorEvent:
        """What an event of the journal says."""
        return self._journal.read(body)

    async def list_events(self, window: EventWindow, after: str | None, limit: int) -> EventPage:
        """The journal, oldest first."""
        return self._journal.page(window, after, limit)

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def _carry_out(
        self, attempt: Attempt, key: str, act: Callable[[Attempt], Verdict]
    ) -> Verdict:
        fault = await self._arrive(attempt.operation, key)
        if fault is Fault.RATE_LIMITED:
            return failed(ErrorCode.RATE_LIMITED, retryable=True)
        if fault is Fault.SERVER_ERROR:
            return unknown(ErrorCode.PROCESSING_ERROR)
        return await self._tell(self._once(attempt, key, act), fault)

    async def _arrive(self, operation: Operation, key: str) -> Fault | None:
        fault = self._faults.draw(operation, key)
        if fault is Fault.NOT_SENT:
            raise NotSent("simulated: not reached")
        latency_ms = self._latency_ms
        if self._latency_spread_ms:
            latency_ms += self._latency_spread_ms * chance(self._seed, f"latency/{key}")
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        return fault

    async def _tell(self, verdict: Verdict, fault: Fault | None) -> Verdict:
        """The answer, as far as it arrives."""
        if fault is Fault.REPLY_LOST:
            raise NoAnswer("simulated: the reply is lost")
        if fault is Fault.HANG:
            # Whoever called stops waiting first.
            await asyncio.Event().wait()
        if fault is Fault.GARBAGE:
            raise Misfit("simulated: the answer makes no sense")
        if verdict.echo is None or fault is None:
            return verdict
        amount = verdict.echo.amount
        if fault is Fault.WRONG_AMOUNT:
            amount = Money(amount.amount_minor + 1, amount.currency)
        if fault is Fault.WRONG_CURRENCY:
            other = "USD" if amount.currency.code != "USD" else "EUR"
            amount = Money(amount.amount_minor, Currency(other))
        return replace(verdict, echo=replace(verdict.echo, amount=amount))

    def _once(self, attempt: Attempt, key: str, act: Callable[[Attempt], Verdict]) -> Verdict:
        """Do it, or say again what was said when it was done."""
        keyed = f"{attempt.operation}:{key}"
        said = self._answers.get(keyed)
        if said is None:
            verdict = act(attempt)
            self._answers[keyed] = (attempt.id, verdict)
            self._verdicts[attempt.id] = verdict
            if payment := self._payments.get(attempt.hold or _hold_of(attempt)):
                payment.keys.append(keyed)
                payment.attempt_ids.append(attempt.id)
            return verdict
        if said[0] != attempt.id:
            raise Misfit("the key was used for another request")
        return said[1]

    def _authorize(self, attempt: Attempt) -> Verdict:
        card = read_token(attempt.instrument.token or "" if attempt.instrument else "")
        payment = _Payment(_hold_of(attempt), attempt, EventType.AUTHORIZED)
        self._keep(payment)
        if not isinstance(card, Behaviour):
            code, decline_code = card
            payment.state = EventType.FAILED
            self._note(payment, attempt, EventType.FAILED)
            return failed(code, decline_code=decline_code, reference=payment.hold)
        redirect = None
        if card is Behaviour.ASKS_FOR_AUTHENTICATION:
            # The simulated customer comes straight back and has authenticated.
            page = attempt.return_url or "https://example.com/return"
            redirect = Redirect(url=page, return_url=page)
        if attempt.capture_at_once and redirect is None:
            return self._take(payment, attempt)
        self._note(payment, attempt, EventType.AUTHORIZED)
        outcome = Outcome.REQUIRES_ACTION if redirect else Outcome.SUCCEEDED
        return self._verdict(outcome, payment, attempt, payment.hold, redirect=redirect)

    def _capture(self, attempt: Attempt) -> Verdict:
        payment = self._payments.get(attempt.hold or "")
        if payment and payment.captured == attempt.amount:
            # It was taken already, with its hold or by another attempt.
            return self._verdict(Outcome.SUCCEEDED, payment, attempt, payment.hold)
        if payment is None or payment.state is not EventType.AUTHORIZED:
            return _refused(payment, "not_held")
        if attempt.amount > payment.authorization.amount:
            return _refused(payment, "amount_too_large")
        return self._take(payment, attempt)

    def _take(self, payment: _Payment, attempt: Attempt) -> Verdict:
        payment.state = EventType.CAPTURED
        payment.captured_minor = attempt.amount.amount_minor
        self._note(payment, attempt, EventType.CAPTURED)
        verdict = self._verdict(Outcome.SUCCEEDED, payment, attempt, payment.hold)
        return replace(verdict, captured=attempt.amount if attempt.capture_at_once else None)

    def _void(self, attempt: Attempt) -> Verdict:
        payment = self._payments.get(attempt.hold or "")
        if payment is None:
            return _refused(payment, "not_held")
        if payment.state is EventType.CAPTURED:
            return replace(_refused(payment, "not_held"), captured=payment.captured)
        if payment.state is not EventType.CANCELED:
            payment.state = EventType.CANCELED
            self._note(payment, attempt, EventType.CANCELED)
        return self._verdict(Outcome.SUCCEEDED, payment, payment.authorization, payment.hold)

    def _refund(self, attempt: Attempt) -> Verdict:
        payment = self._payments.get(attempt.hold or "")
        if payment is None or payment.state is not EventType.CAPTURED:
            return _refused(payment, "charge_not_captured")
        if payment.refunded_minor + attempt.amount.amount_minor > payment.captured_minor:
            is_all = payment.refunded_minor == payment.captured_minor
            return _refused(payment, "charge_already_refunded" if is_all else "amount_too_large")
        payment.refunded_minor += attempt.amount.amount_minor
        reference = f"simre_{attempt.id.hex}"
        card = payment.authorization.instrument
        if card and read_token(card.token or "") is Behaviour.REFUNDS_SLOWLY:
            self._note(payment, attempt, EventType.REFUND_PENDING, reference)
            return self._verdict(Outcome.PENDING, payment, attempt, reference)
        self._note(payment, attempt, EventType.REFUND_SUCCEEDED, reference)
        return self._verdict(Outcome.SUCCEEDED, payment, attempt, reference)

    def _as_it_stands(self, attempt: Attempt, verdict: Verdict) -> Verdict:
        """What was waited for when the verdict was given has come about since."""
        has_acted = verdict.outcome is Outcome.REQUIRES_ACTION
        has_settled = (
            verdict.outcome is Outcome.PENDING
            and self._clock.now() >= attempt.id.created_at + _REFUND_SETTLES_AFTER
        )
        if not has_acted and not has_settled:
            return verdict
        return replace(verdict, outcome=Outcome.SUCCEEDED, redirect=None)

    def _verdict(
        self,
        outcome: Outcome,
        payment: _Payment,
        attempt: Attempt,
        reference: str,
        *,
        redirect: Redirect | None = None,
    ) -> Verdict:
        return Verdict(
            outcome=outcome,
            echo=Echo(amount=attempt.amount, hold=payment.hold, attempt_id=attempt.id),
            reference=reference,
            redirect=redirect,
            raw={"id": reference, "state": payment.state.lower()},
        )

    def _note(
        self, payment: _Payment, attempt: Attempt, kind: EventType, object_id: str | None = None
    ) -> None:
        self._journal.note(
            kind,
            payment.authorization if object_id is None else attempt,
            payment.hold,
            object_id or payment.hold,
            attempt.amount,
        )

    def _keep(self, payment: _Payment) -> None:
        self._payments[payment.hold] = payment
        if len(self._payments) > self._max_payments:
            oldest = self._payments.pop(next(iter(self._payments)))
            for key in oldest.keys:
                self._answers.pop(key, None)
            for attempt_id in oldest.attempt_ids:
                self._verdicts.pop(attempt_id, None)


def _hold_of(attempt: Attempt) -> str:
    return f"sim_{attempt.id.hex}"


def _refused(payment: _Payment | None, decline_code: str) -> Verdict:
    return failed(
        ErrorCode.PROCESSING_ERROR,
        decline_code=decline_code,
        reference=payment.hold if payment else None,
    )
