"""A unit of writing: what is done to one payment, as the rows it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.kernel.context import CoreRequestContext
from services.kernel.events import DomainEvent, SequencedEvent
from services.kernel.ids import PaymentId
from services.orchestrator.domain.changes import Changes
from services.orchestrator.domain.command import Decided
from services.orchestrator.domain.events import PaymentConfirmRequested
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.saving import Claim, Hold
from services.orchestrator.store.rows import (
    Row,
    attempt_row,
    dispute_row,
    event_row,
    part_rows,
    payment_row,
    posting_row,
    refund_row,
    step_row,
)
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.messaging.outbox import trace_headers

# What is an order to a worker; everything else tells what has happened.
_TOPICS: Final[dict[type[DomainEvent], Topic]] = {PaymentConfirmRequested: Topic.COMMANDS}


class Codec(Protocol):
    """Makes and reads the bytes that are stored and travel; the store knows no contract."""

    def request(self, request: CoreRequestContext) -> bytes: ...

    def read_request(self, body: bytes) -> CoreRequestContext: ...

    def read_plan(self, body: bytes) -> Plan: ...

    def event(self, payment: Payment, told: SequencedEvent, traceparent: str | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """One payment's changes, as rows; without a birth they are made to one that stands."""

    payment_id: PaymentId
    expected_version: int
    birth: Row | None
    claim: Claim | None
    event: Row | None
    payment: Row
    hold: Hold
    request: tuple[Row, ...]
    plans: tuple[Row, ...]
    transitions: tuple[Row, ...]
    steps: tuple[Row, ...]
    attempts: tuple[Row, ...]
    refunds: tuple[Row, ...]
    parts: tuple[Row, ...]
    disputes: tuple[Row, ...]
    postings: tuple[Row, ...]
    rejected: tuple[Row, ...]
    decided: tuple[Decided, ...]
    messages: tuple[OutgoingMessage, ...]


def birth_of(payment: Payment, codec: Codec) -> Row:
    """What is written once, when a payment begins."""
    request = payment.request
    return (
        request.merchant_id.hex,
        request.amount.amount_minor,
        request.amount.currency.code,
        request.user_id,
        request.idempotency_key,
        request.request_id.hex,
        codec.request(request),
        payment.standing.created_at,
    )


def unit_of(
    payment: Payment,
    changes: Changes,
    codec: Codec,
    hold: Hold,
    *,
    claim: Claim | None = None,
    decided: Sequence[Decided] = (),
) -> Unit:
    """Everything about the payment as it is now, so that later changes cannot reach the rows."""
    owner, plan = payment.id.hex, changes.plan
    is_new = changes.expected_version == 0
    return Unit(
        payment_id=payment.id,
        expected_version=changes.expected_version,
        birth=birth_of(payment, codec) if is_new else None,
        claim=claim,
        event=None if changes.applied is None else event_row(owner, changes.applied),
        payment=payment_row(payment, changes, hold),
        hold=hold,
        request=((owner, codec.request(payment.request)),) if changes.is_request_new else (),
        plans=() if plan is None else ((owner, plan.digest, plan.config_version, plan.record),),
        transitions=tuple(
            (owner, each.before, each.after, each.cause, each.occurred_at)
            for each in changes.transitions
        ),
        steps=tuple(step_row(owner, step) for step in changes.steps),
        attempts=tuple(
            attempt_row(owner, attempt)
            for attempt in sorted(changes.attempts, key=lambda each: each.number)
        ),
        refunds=tuple(refund_row(owner, refund) for refund in changes.refunds),
        parts=tuple(row for refund in changes.refunds for row in part_rows(owner, refund)),
        disputes=tuple(dispute_row(owner, dispute) for dispute in changes.disputes),
        postings=tuple(
            posting_row(posting, payment.request.traceparent) for posting in changes.postings
        ),
        rejected=tuple(
            (posting_id.hex, refusal.reason, refusal.message)
            for posting_id, refusal in changes.rejected.items()
        ),
        decided=tuple(decided),
        messages=tuple(_message(payment, told, codec) for told in changes.events),
    )


def _message(payment: Payment, told: SequencedEvent, codec: Codec) -> OutgoingMessage:
    headers = trace_headers()
    return OutgoingMessage(
        id=told.event.event_id,
        topic=_TOPICS.get(type(told.event), Topic.EVENTS),
        key=payment.id,
        sequence=told.sequence,
        type=type(told.event).__name__,
        payload=codec.event(payment, told, headers.get("traceparent")),
        occurred_at=told.event.occurred_at,
        headers=headers,
    )
