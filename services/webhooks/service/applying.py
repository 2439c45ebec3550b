"""Applying: what a stored event did to a payment, or why it has to wait for one."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog

from services.kernel.clock import Clock
from services.kernel.errors import (
    DeadlineExceeded,
    InFlight,
    ResourceExhausted,
    SwitchyardError,
    Unavailable,
)
from services.webhooks.domain.event import (
    Disposition,
    OpenEvent,
    Settlement,
    State,
    Told,
    pause_before_check,
)
from services.webhooks.service.traffic import Traffic

_OUTAGE: Final = (Unavailable, DeadlineExceeded, ResourceExhausted, InFlight)
_AFTER_OUTAGE: Final = timedelta(seconds=30)
# Up to this age an event lets deliveries go first; what is left of a consumer's patience is for
# telling the orchestrator.
_GIVES_WAY: Final = timedelta(seconds=4)

_log = structlog.get_logger()


class Teller(Protocol):
    """Puts events into the platform's words and tells the orchestrator."""

    async def tell(self, event: OpenEvent, processor_id: str) -> Told:
        """What the event did, as one that this processor tells."""
        ...


class Household(Protocol):
    """Which processors share an account."""

    def sharers(self, processor_id: str) -> Sequence[str]: ...


class Notes(Protocol):
    """Who counts what is settled."""

    def settled(self, event: OpenEvent, latency_seconds: float) -> None: ...


class Applying:
    """Applies stored events; telling twice changes nothing, so that a crash costs nothing."""

    def __init__(
        self,
        teller: Teller,
        household: Household,
        clock: Clock,
        notes: Notes,
        *,
        traffic: Traffic,
    ) -> None:
        self._traffic = traffic
        self._teller = teller
        self._household = household
        self._clock = clock
        self._notes = notes

    async def apply(self, event: OpenEvent, *, is_last_try: bool) -> Settlement:
        """What became of it. An outage puts it off at the last try: it is nobody's failure."""
        age = self._clock.now() - event.created_at
        await self._traffic.give_way((_GIVES_WAY - age).total_seconds())
        try:
            told = await self._tell(event)
        except _OUTAGE as outage:
            if not is_last_try:
                raise
            return _put_off(event, outage)
        settlement = _settlement(event, told)
        latency = self._clock.now() - event.created_at
        self._notes.settled(event, latency.total_seconds())
        _report(event, told, round(latency.total_seconds() * 1000))
        return settlement

    async def _tell(self, event: OpenEvent) -> Told:
        """Tell it as of each processor of the account, until one has the payment."""
        told = Told(Disposition.UNMATCHED)
        for processor_id in self._household.sharers(event.processor_id):
            told = await self._teller.tell(event, processor_id)
            if told.disposition is not Disposition.UNMATCHED:
                break
        return told


def _settlement(event: OpenEvent, told: Told) -> Settlement:
    match told.disposition:
        case Disposition.UNMATCHED:
            pause = pause_before_check(event.unmatched_checks + 1)
            return Settlement(State.UNMATCHED, told.payment_id, due_in=pause)
        case Disposition.IGNORED:
            return Settlement(State.IGNORED, told.payment_id)
        case _:
            return Settlement(State.PROCESSED, told.payment_id)


def _put_off(event: OpenEvent, outage: SwitchyardError) -> Settlement:
    _log.warning(
        "webhook put off",
        webhook_event_id=event.id,
        event_type=event.event_type,
        problem=str(outage),
        again_in_seconds=_AFTER_OUTAGE.total_seconds(),
    )
    return Settlement(event.state, due_in=_AFTER_OUTAGE)


def _report(event: OpenEvent, told: Told, latency_ms: int) -> None:
    is_news = told.disposition is Disposition.UNMATCHED and event.unmatched_checks == 0
    write = _log.warning if is_news else _log.info
    write(
        "webhook applied",
        webhook_event_id=event.id,
        processor_id=event.processor_id,
        processor_event_id=event.event_id,
        event_type=event.event_type,
        disposition=told.disposition.name.lower(),
        payment_id=told.payment_id or "",
        merchant_id=told.merchant_id,
        outcome=told.message,
        latency_ms=latency_ms,
    )
