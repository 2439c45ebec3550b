"""What a payment is made of, each as the row that its table keeps of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TypeAlias

from services.orchestrator.domain.applied import AppliedEvent
from services.orchestrator.domain.attempt import Attempt, Step
from services.orchestrator.domain.changes import Changes
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.posting import Posting
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.saving import Hold

Row: TypeAlias = tuple[object, ...]


def columns(rows: Iterable[Row]) -> Sequence[list[object]]:
    """Rows as the arrays that a statement unnests; none when there is nothing to write."""
    return [list(column) for column in zip(*rows, strict=True)]


def payment_row(payment: Payment, changes: Changes, hold: Hold) -> Row:
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


def step_row(owner: str, step: Step) -> Row:
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


def attempt_row(owner: str, attempt: Attempt) -> Row:
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
        attempt.capture_at_once,
        attempt.state,
        attempt.reference,
        attempt.lookups,
        attempt.look_up_at,
        None if evidence is None else json.dumps(asdict(evidence)),
        (execution and execution.record) or None,
        attempt.settled_at,
    )


def refund_row(owner: str, refund: Refund) -> Row:
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


def part_rows(owner: str, refund: Refund) -> Iterable[Row]:
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


def dispute_row(owner: str, dispute: Dispute) -> Row:
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


def event_row(owner: str, applied: AppliedEvent) -> Row:
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


def posting_row(posting: Posting, traceparent: str | None) -> Row:
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
