"""A unit of writing: what is done to one payment, as the rows it becomes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from services.kernel.context import CoreRequestContext
from services.kernel.events import SequencedEvent
from services.kernel.ids import PaymentId
from services.orchestrator.domain.attempt import Attempt, Step
from services.orchestrator.domain.command import Command, Decided
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import Posting
from services.orchestrator.domain.record import Changes
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.messaging.outbox import trace_headers

Row: TypeAlias = tuple[object, ...]


class Codec(Protocol):
    """Makes and reads the bytes that are stored and travel; the store knows no contract."""

    def request(self, request: CoreRequestContext) -> bytes: ...

    def read_request(self, body: bytes) -> CoreRequestContext: ...

    def read_plan(self, body: bytes) -> Plan: ...

    def event(self, payment: Payment, told: SequencedEvent, traceparent: str | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Birth:
    """What is written once, when a payment begins."""

    command: Command
    payment: Row
    plans: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One payment's changes, as rows; without a birth they are made to one that stands."""

    payment_id: PaymentId
    expected_version: int
    birth: Birth | None
    payment: Row
    transitions: tuple[Row, ...]
    steps: tuple[Row, ...]
    attempts: tuple[Row, ...]
    postings: tuple[Row, ...]
    rejected: tuple[Row, ...]
    decided: Decided | None
    messages: tuple[OutgoingMessage, ...]


def birth_of(payment: Payment, command: Command, codec: Codec) -> Birth:
    request, plan = payment.request, payment.plan
    fixed = (
        request.merchant_id.hex,
        request.amount.amount_minor,
        request.amount.currency.code,
        request.user_id,
        request.idempotency_key,
        request.request_id.hex,
        codec.request(request),
        payment.standing.created_at,
    )
    plans = (
        () if plan is None else ((payment.id.hex, plan.digest, plan.config_version, plan.record),)
    )
    return Birth(command, fixed, plans)


def unit_of(
    payment: Payment,
    changes: Changes,
    codec: Codec,
    *,
    birth: Birth | None = None,
    decided: Decided | None = None,
) -> Unit:
    """Everything about the payment as it is now, so that later changes cannot reach the rows."""
    owner = payment.id.hex
    return Unit(
        payment_id=payment.id,
        expected_version=changes.expected_version,
        birth=birth,
        payment=_payment_row(payment),
        transitions=tuple(
            (owner, each.before, each.after, each.cause, each.occurred_at)
            for each in changes.transitions
        ),
        steps=tuple(_step_row(owner, step) for step in changes.steps),
        attempts=tuple(
            _attempt_row(owner, attempt)
            for attempt in sorted(changes.attempts, key=lambda each: each.number)
        ),
        postings=tuple(_posting_row(posting) for posting in changes.postings),
        rejected=tuple(
            (posting_id.hex, refusal.reason, refusal.message)
            for posting_id, refusal in changes.rejected.items()
        ),
        decided=decided,
        messages=tuple(_message(payment, told, codec) for told in changes.events),
    )


def columns(rows: Iterable[Row]) -> Sequence[list[object]]:
    """Rows as the arrays that a statement unnests; none when there is nothing to write."""
    return [list(column) for column in zip(*rows, strict=True)]


def _payment_row(payment: Payment) -> Row:
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
        step.disputed.amount_minor,
        step.excess.amount_minor,
        step.platform_fee.amount_minor,
        step.processor_id,
        step.processor_reference,
        step.error_code,
        step.is_retryable,
        step.latency_ms,
    )


def _attempt_row(owner: str, attempt: Attempt) -> Row:
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
        attempt.state,
        attempt.execution and attempt.execution.record,
        attempt.settled_at,
    )


def _posting_row(posting: Posting) -> Row:
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
    )


def _message(payment: Payment, told: SequencedEvent, codec: Codec) -> OutgoingMessage:
    headers = trace_headers()
    return OutgoingMessage(
        id=told.event.event_id,
        topic=Topic.EVENTS,
        key=payment.id,
        sequence=told.sequence,
        type=type(told.event).__name__,
        payload=codec.event(payment, told, headers.get("traceparent")),
        occurred_at=told.event.occurred_at,
        headers=headers,
    )
