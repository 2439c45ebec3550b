"""Refunds: money going back, at once, after a while, or in the end not at all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Final

from sandbox.domain import balance
from sandbox.domain.cards import RefundCourse
from sandbox.domain.charges import Charge
from sandbox.domain.work import Entity, Work
from sandbox.errors import Refused

SETTLES_AFTER_SECONDS: Final = 2


class State(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Entity):
    """A part or all of a captured charge, given back."""

    kind: ClassVar[str] = "refund"
    prefix: ClassVar[str] = "re"

    charge: str
    payment_intent: str
    amount: int
    currency: str
    state: State
    reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    balance_transaction: str | None = None
    failure_reason: str | None = None
    failure_balance_transaction: str | None = None
    settles_as: State | None = None
    settles_at: int | None = None
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def due_at(self) -> int | None:
        """When the bank's last word comes."""
        return self.settles_at


_FIRST_AND_LAST_STATE: Final = {
    RefundCourse.IMMEDIATE: (State.SUCCEEDED, None),
    RefundCourse.PENDING_FIRST: (State.PENDING, State.SUCCEEDED),
    RefundCourse.FAILS_LATER: (State.SUCCEEDED, State.FAILED),
}


def create(
    work: Work, charge: Charge, *, amount: int | None, reason: str | None, metadata: dict[str, str]
) -> Refund:
    """Give back what is asked, or all that is left."""
    _check(charge, amount)
    amount = charge.amount_refundable if amount is None else amount
    state, settles_as = _FIRST_AND_LAST_STATE[charge.card.catalogued.refund]
    refund = Refund(
        **work.identity(Refund),
        charge=charge.id,
        payment_intent=charge.payment_intent,
        amount=amount,
        currency=charge.currency,
        state=state,
        reason=reason,
        metadata=metadata,
        settles_as=settles_as,
        settles_at=None if settles_as is None else work.now + SETTLES_AFTER_SECONDS,
        request_id=work.origin.request_id,
        idempotency_key=work.origin.idempotency_key,
    )
    movement = balance.record(
        work, type="refund", amount=-amount, currency=charge.currency, source=refund.id
    )
    refund = work.put(replace(refund, balance_transaction=movement.id))
    refunded = work.put(
        replace(
            charge,
            amount_refunded=charge.amount_refunded + amount,
            refunds=(refund.id, *charge.refunds),
        )
    )
    work.emit("refund.created", refund)
    work.emit("charge.refunded", refunded, previous=charge)
    return refund


def _check(charge: Charge, amount: int | None) -> None:
    if not charge.captured:
        raise Refused(
            f"Charge {charge.id} has not been captured; cancel its PaymentIntent instead.",
            code="charge_not_captured",
        )
    if charge.amount_disputed:
        raise Refused(f"Charge {charge.id} has been charged back.", code="charge_disputed")
    if charge.amount_refundable == 0:
        raise Refused(
            f"Charge {charge.id} has already been refunded.", code="charge_already_refunded"
        )
    if amount is not None and amount > charge.amount_refundable:
        raise Refused(
            f"The refund ({amount}) is greater than what is left to refund on the charge"
            f" ({charge.amount_refundable}).",
            param="amount",
        )


def settle(work: Work, refund: Refund) -> Refund:
    """Hear the bank's last word on a refund that was still open."""
    assert refund.settles_as is not None
    settled = replace(refund, state=refund.settles_as, settles_as=None, settles_at=None)
    if settled.state is State.FAILED:
        return _fail(work, refund, settled)
    work.put(settled)
    work.emit("refund.updated", settled, previous=refund)
    work.emit("charge.refund.updated", settled, previous=refund)
    return settled


def fail(work: Work, refund: Refund) -> Refund:
    """The bank sends back what was to be paid out, whatever it had said of it."""
    if refund.state is State.FAILED:
        raise Refused(f"Refund {refund.id} has failed already.")
    failed = replace(refund, state=State.FAILED, settles_as=None, settles_at=None)
    return _fail(work, refund, failed)


def _fail(work: Work, before: Refund, refund: Refund) -> Refund:
    charge = work.get(Charge, refund.charge)
    movement = balance.record(
        work,
        type="refund_failure",
        amount=refund.amount,
        currency=refund.currency,
        source=refund.id,
    )
    failed = work.put(
        replace(
            refund,
            failure_reason="expired_or_canceled_card",
            failure_balance_transaction=movement.id,
        )
    )
    work.put(replace(charge, amount_refunded=charge.amount_refunded - refund.amount))
    for event_type in ("refund.updated", "refund.failed", "charge.refund.updated"):
        work.emit(event_type, failed, previous=before)
    return failed
