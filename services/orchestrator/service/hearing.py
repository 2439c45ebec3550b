"""The door for what processors tell unasked: find the payment that it is about, and have it heard.

Who brings an event keeps it until it is matched: a webhook may overtake the answer that makes its
payment known. What is matched is recorded once, in the commit that applies it, however often and
however many at once it is brought.
"""

from typing import Protocol

import structlog

from services.kernel.clock import Clock
from services.kernel.ids import AttemptId, MerchantId, PaymentId
from services.orchestrator.domain.applied import Disposition, FactKind, Heard, ProcessorEvent, Told
from services.orchestrator.domain.hearing import NOT_OURS
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import ToldBefore
from services.orchestrator.service.change import Change
from services.orchestrator.service.desks import Desks

_log = structlog.get_logger()


class Payments(Protocol):
    """Where it is looked up whose an attempt or a processor's own id is."""

    async def find_by_attempt(self, attempt_id: AttemptId) -> PaymentId | None: ...

    async def find_by_reference(self, processor_id: str, reference: str) -> PaymentId | None: ...


class ProcessorDoor:
    """Takes in what processors tell unasked."""

    def __init__(self, payments: Payments, desks: Desks, clock: Clock) -> None:
        self._payments = payments
        self._desks = desks
        self._clock = clock

    async def apply(self, event: ProcessorEvent) -> Told:
        """Have an event heard by its payment; one that was heard before is told as it was then."""
        payment_id = await self._find(event)
        if payment_id is None:
            told = _of_nobody(event)
        else:
            told = await self._have_heard(event, payment_id)
        _log_told(event, told)
        return told

    async def _find(self, event: ProcessorEvent) -> PaymentId | None:
        if event.attempt_id is not None:
            payment_id = await self._payments.find_by_attempt(event.attempt_id)
            if payment_id is not None:
                return payment_id
        for reference in (event.reference, event.object_id):
            if reference is not None:
                payment_id = await self._payments.find_by_reference(event.processor_id, reference)
                if payment_id is not None:
                    return payment_id
        return None

    async def _have_heard(self, event: ProcessorEvent, payment_id: PaymentId) -> Told:
        # It may be applied anew to what somebody else has saved meanwhile: the last time counts.
        told: list[tuple[Heard, MerchantId]] = []

        def apply(payment: Payment) -> None:
            told.append((payment.hear(event, self._clock.now()), payment.merchant_id))

        written = await self._desks.change(payment_id, Change(apply, is_fact=True))
        heard, merchant_id = told[-1]
        if heard is NOT_OURS:
            return _of_nobody(event)
        if isinstance(written, ToldBefore):
            before = Heard(written.disposition, written.message)
            return Told(before, payment_id, merchant_id, replayed=True)
        return Told(heard, payment_id, merchant_id)


def _of_nobody(event: ProcessorEvent) -> Told:
    if event.kind is FactKind.IGNORED:
        return Told(Heard(Disposition.IGNORED, "it concerns nothing that is kept"))
    return Told(NOT_OURS)


def _log_told(event: ProcessorEvent, told: Told) -> None:
    words = {
        "payment_id": told.payment_id,
        "merchant_id": told.merchant_id,
        "processor_id": event.processor_id,
        "event_id": event.id,
        "kind": str(event.kind),
        "disposition": str(told.heard.disposition),
        "message": told.heard.message,
    }
    if told.heard.is_alarming:
        _log.error("what a processor tells needs reconciliation", **words)
    else:
        _log.info("processor event heard", **words)
