"""Disputes: a cardholder's bank takes money back, and perhaps returns it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from sandbox.domain import balance
from sandbox.domain.balance import BalanceTransaction
from sandbox.domain.charges import Charge
from sandbox.domain.work import Entity, Work
from sandbox.errors import Refused

EVIDENCE_WITHIN_SECONDS: Final = 9 * 24 * 3600
DECIDED_AFTER_SECONDS: Final = 2
WINNING_EVIDENCE: Final = "winning_evidence"
LOSING_EVIDENCE: Final = "losing_evidence"


class State(StrEnum):
    """Where a dispute stands; the warning states are an inquiry's, before money moves."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


CLOSED: Final = frozenset({State.WON, State.LOST, State.WARNING_CLOSED})
_REVIEW: Final = {
    State.NEEDS_RESPONSE: State.UNDER_REVIEW,
    State.WARNING_NEEDS_RESPONSE: State.WARNING_UNDER_REVIEW,
}
_INQUIRY: Final = frozenset({State.WARNING_NEEDS_RESPONSE, State.WARNING_UNDER_REVIEW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute(Entity):
    """A charge a cardholder's bank questions, with what the merchant says to it."""

    kind: ClassVar[str] = "dispute"
    prefix: ClassVar[str] = "du"

    charge: str
    payment_intent: str
    amount: int
    currency: str
    reason: str
    state: State
    brand: str
    evidence_due_by: int
    evidence: dict[str, Any] = field(default_factory=dict)
    submission_count: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    balance_transactions: tuple[BalanceTransaction, ...] = ()
    decided_at: int | None = None
    decided_as: State | None = None

    @property
    def due_at(self) -> int | None:
        """When the bank decides on submitted evidence, or gives up waiting for any."""
        if self.state in CLOSED:
            return None
        return self.decided_at or self.evidence_due_by


def open_if_card_disputes(work: Work, charge: Charge) -> None:
    """Some test cards dispute every charge as soon as it is captured."""
    card = charge.card.catalogued
    if card.dispute_reason is not None:
        open_dispute(
            work,
            charge,
            amount=charge.amount_captured,
            reason=card.dispute_reason,
            inquiry=card.dispute_is_inquiry,
        )


def open_dispute(
    work: Work, charge: Charge, *, amount: int, reason: str, inquiry: bool = False
) -> Dispute:
    """A bank questions a charge; unless it only inquires, it takes the money at once."""
    dispute = Dispute(
        **work.identity(Dispute),
        charge=charge.id,
        payment_intent=charge.payment_intent,
        amount=amount,
        currency=charge.currency,
        reason=reason,
        state=State.WARNING_NEEDS_RESPONSE if inquiry else State.NEEDS_RESPONSE,
        brand=charge.card.catalogued.brand,
        evidence_due_by=work.now + EVIDENCE_WITHIN_SECONDS,
    )
    if inquiry:
        work.put(replace(charge, disputed=True))
        work.emit("charge.dispute.created", work.put(dispute))
        return dispute
    work.put(replace(charge, disputed=True, amount_disputed=charge.amount_disputed + amount))
    withdrawn = _move(work, dispute, -amount, fee=balance.DISPUTE_FEE_MINOR, category="dispute")
    work.emit("charge.dispute.created", withdrawn)
    work.emit("charge.dispute.funds_withdrawn", withdrawn)
    return withdrawn


def _move(work: Work, dispute: Dispute, amount: int, *, fee: int, category: str) -> Dispute:
    movement = balance.record(
        work,
        type="adjustment",
        reporting_category=category,
        amount=amount,
        fee=fee,
        currency=dispute.currency,
        source=dispute.id,
        description=f"Chargeback for {dispute.charge}",
    )
    return work.put(
        replace(dispute, balance_transactions=(*dispute.balance_transactions, movement))
    )


def respond(
    work: Work,
    dispute: Dispute,
    *,
    evidence: dict[str, Any],
    metadata: dict[str, str],
    submit: bool,
) -> Dispute:
    """Keep the merchant's evidence and, unless told otherwise, hand it to the bank."""
    if evidence and dispute.state not in _REVIEW:
        raise Refused(f"This dispute is {dispute.state} and takes no more evidence.")
    updated = replace(dispute, evidence=dispute.evidence | evidence, metadata=metadata)
    if evidence and submit:
        updated = _submitted(work, updated)
    work.put(updated)
    work.emit("charge.dispute.updated", updated, previous=dispute)
    return updated


def _submitted(work: Work, dispute: Dispute) -> Dispute:
    text = dispute.evidence.get("uncategorized_text") or ""
    decided_as = None
    if text.strip() in (WINNING_EVIDENCE, LOSING_EVIDENCE):
        decided_as = State.WON if text.strip() == WINNING_EVIDENCE else State.LOST
    return replace(
        dispute,
        state=_REVIEW[dispute.state],
        submission_count=dispute.submission_count + 1,
        decided_as=decided_as,
        decided_at=None if decided_as is None else work.now + DECIDED_AFTER_SECONDS,
    )


def win(work: Work, dispute: Dispute) -> Dispute:
    """The bank sides with the merchant: the money comes back, the fee does not."""
    _check_open(dispute)
    if dispute.state in _INQUIRY:
        return _close(work, dispute, State.WARNING_CLOSED)
    charge = work.get(Charge, dispute.charge)
    work.put(replace(charge, amount_disputed=charge.amount_disputed - dispute.amount))
    reinstated = _move(work, dispute, dispute.amount, fee=0, category="dispute_reversal")
    won = _close(work, reinstated, State.WON)
    work.emit("charge.dispute.funds_reinstated", won)
    return won


def lose(work: Work, dispute: Dispute) -> Dispute:
    """The bank sides with its customer, or the merchant gives in: the money stays gone."""
    _check_open(dispute)
    return _close(work, dispute, State.WARNING_CLOSED if dispute.state in _INQUIRY else State.LOST)


def _check_open(dispute: Dispute) -> None:
    if dispute.state in CLOSED:
        raise Refused(f"This dispute is already closed ({dispute.state}).")


def decide(work: Work, dispute: Dispute) -> Dispute:
    """Time is up: decide on the evidence, which, if there is none, loses."""
    return win(work, dispute) if dispute.decided_as is State.WON else lose(work, dispute)


def _close(work: Work, dispute: Dispute, state: State) -> Dispute:
    closed = work.put(replace(dispute, state=state, decided_as=None, decided_at=None))
    work.emit("charge.dispute.closed", closed, previous=dispute)
    return closed
