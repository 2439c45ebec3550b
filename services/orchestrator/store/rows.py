"""A unit of writing: what is done to one payment, as the rows it becomes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Protocol, TypeAlias

from services.kernel.context import CoreRequestContext
from services.kernel.events import DomainEvent, SequencedEvent
from services.kernel.ids import PaymentId
from services.orchestrator.domain.applied import AppliedEvent
from services.orchestrator.domain.attempt import Attempt, Step
from services.orchestrator.domain.changes import Changes
from services.orchestrator.domain.command import Decided
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.events import PaymentConfirmRequested
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import Posting
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.saving import Claim, Hold
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.messaging.outbox import trace_headers

Row: TypeAlias = tuple[object, ...]

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
        event=None if changes.applied is None else _event_row(owner, changes.applied),
        payment=_payment_row(payment, changes, hold),
        hold=hold,
        request=((owner, codec.request(payment.request)),) if changes.is_request_new else (),
        plans=() if plan is None else ((owner, plan.digest, plan.config_version, plan.record),),
        transitions=tuple(
            (owner, each.before, each.after, each.cause, each.occurred_at)
            for each in changes.transitions
        ),
        steps=tuple(_step_row(owner, step) for step in changes.steps),
        attempts=tuple(
            _attempt_row(owner, attempt)
            for attempt in sorted(changes.attempts, key=lambda each: each.number)
        ),
        refunds=tuple(_refund_row(owner, refund) for refund in changes.refunds),
        parts=tuple(row for refund in changes.refunds for row in _part_rows(owner, refund)),
        disputes=tuple(_dispute_row(owner, dispute) for dispute in changes.disputes),
        postings=tuple(
            _posting_row(posting, payment.request.traceparent) for posting in changes.postings
        ),
        rejected=tuple(
            (posting_id.hex, refusal.reason, refusal.message)
            for posting_id, refusal in changes.rejected.items()
        ),
        decided=tuple(decided),
        messages=tuple(_message(payment, told, codec) for told in changes.events),
    )


def columns(rows: Iterable[Row]) -> Sequence[list[object]]:
    """Rows as the arrays that a statement unnests; none when there is nothing to write."""
    return [list(column) for column in zip(*rows, strict=True)]


def _payment_row(payment: Payment, changes: Changes, hold: Hold) -> Row:
    standing = payment.standing
    error, redirect = standing.final_error, standing.redirect
    first = payment.steps[0] if payment.steps else None
    return (
        payment.id.hex,
        payment.version,
        standing.state,
        first and first.processor_reference,
        error and error.code,
        error and error.decline_code,
        error and error.user_message,
        error and error.step_index,
        redirect and redirect.url,
        redirect and redirect.return_url,
        standing.action_expires_at,
        standing.in_doubt_since,
        standing.needs_reconciliation,
        standing.updated_at,
        standing.capture_wanted and standing.capture_wanted.amount_minor,
        standing.withdrawn,
        payment.due_at(driven=hold.drives),
        hold.drives,
        hold.epoch,
        changes.expected_version,
    )


def _step_row(owner: str, step: Step) -> Row:
    return (
        step.id.hex,
        owner,
        step.index,
        step.amount.amount_minor,
        step.state,
        step.authorized.amount_minor,
        step.captured.amount_minor,
        step.refunded.amount_minor,
        step.reserved.amount_minor,
        step.disputed.amount_minor,
        step.excess.amount_minor,
        step.platform_fee.amount_minor,
        step.fee_returned.amount_minor,
        step.processor_id,
        step.processor_reference,
        step.error_code,
        step.is_retryable,
        step.latency_ms,
    )


def _attempt_row(owner: str, attempt: Attempt) -> Row:
    evidence, execution = attempt.evidence, attempt.execution
    return (
        attempt.id.hex,
        owner,
        attempt.step_id.hex,
        attempt.number,
        attempt.operation,
        attempt.processor_id,
        attempt.amount.amount_minor,
        attempt.hold,
        attempt.idempotency_key,
        attempt.key_expires_at,
        attempt.created_at,
        attempt.part_id and attempt.part_id.hex,
        attempt.late,
        attempt.state,
        attempt.reference,
        attempt.lookups,
        attempt.look_up_at,
        None if evidence is None else json.dumps(asdict(evidence)),
        (execution and execution.record) or None,
        attempt.settled_at,
    )


def _refund_row(owner: str, refund: Refund) -> Row:
    return (
        refund.id.hex,
        owner,
        refund.amount.amount_minor,
        refund.fee_returned.amount_minor,
        refund.reason,
        refund.state,
        refund.idempotency_key,
        refund.created_at,
        refund.updated_at,
    )


def _part_rows(owner: str, refund: Refund) -> Iterable[Row]:
    for position, part in enumerate(refund.parts):
        yield (
            part.id.hex,
            refund.id.hex,
            owner,
            part.step_id.hex,
            position,
            part.amount.amount_minor,
            part.fee_returned.amount_minor,
            part.state,
            part.processor_id,
            part.processor_reference,
            part.error_code,
        )


def _dispute_row(owner: str, dispute: Dispute) -> Row:
    return (
        dispute.id.hex,
        owner,
        dispute.step_id.hex,
        dispute.state,
        dispute.amount.amount_minor,
        dispute.excess.amount_minor,
        dispute.fee.amount_minor,
        dispute.funds_withdrawn,
        dispute.funds_reinstated,
        dispute.reason,
        dispute.processor_id,
        dispute.processor_reference,
        dispute.opened_at,
        dispute.closed_at,
    )


def _event_row(owner: str, applied: AppliedEvent) -> Row:
    event = applied.event
    return (
        event.processor_id,
        event.id,
        owner,
        event.webhook_event_id and event.webhook_event_id.hex,
        event.native_type,
        applied.disposition,
        applied.message,
        event.occurred_at,
        applied.applied_at,
    )


def _posting_row(posting: Posting, traceparent: str | None) -> Row:
    entries = [
        {
            "account": entry.account,
            "amount_minor": entry.amount.amount_minor,
            "currency": entry.amount.currency.code,
        }
        for entry in posting.entries
    ]
    return (
        posting.id.hex,
        posting.payment_id.hex,
        posting.kind,
        posting.idempotency_key,
        posting.amount.amount_minor,
        posting.amount.currency.code,
        json.dumps(entries),
        posting.created_at,
        traceparent,
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
