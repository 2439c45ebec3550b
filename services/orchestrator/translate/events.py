"""Events as they travel: one envelope, and in it what has happened."""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message
from payments.core.v1 import error_reason_pb2, failure_pb2
from payments.events.v1 import command_pb2, payment_event_pb2, step_event_pb2
from payments.events.v1.envelope_pb2 import Envelope

from services.kernel.events import DomainEvent, SequencedEvent
from services.orchestrator.domain import events
from services.orchestrator.domain.payment import Payment
from services.orchestrator.translate.payment import final_error_message, redirect_message
from services.orchestrator.translate.words import (
    ERROR_CODE_NUMBERS,
    METHOD_NUMBERS,
    OPERATION_NUMBERS,
    OUTCOME_NUMBERS,
    issue_message,
    money_message,
)

_SCHEMA_VERSION: Final = 1


def event_payload(payment: Payment, told: SequencedEvent, traceparent: str | None) -> bytes:
    """An event of a payment in the envelope that every consumer reads."""
    event = told.event
    field, write = _PAYLOADS[type(event)]
    payload: dict[str, Any] = {field: write(event)}
    envelope = Envelope(
        id=event.event_id,
        type=type(event).__name__,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        request_id=payment.request.request_id,
        schema_version=_SCHEMA_VERSION,
        sequence=told.sequence,
        **payload,
    )
    envelope.occurred_at.FromDatetime(event.occurred_at)
    if traceparent is not None:
        envelope.trace_context.traceparent = traceparent
    return envelope.SerializeToString()


def _created(event: events.PaymentCreated) -> Message:
    return payment_event_pb2.PaymentCreated(
        amount=money_message(event.amount),
        method=METHOD_NUMBERS[event.method],
        user_id=event.user_id or "",
        validation_issues=[issue_message(issue) for issue in event.issues],
    )


def _action_required(event: events.PaymentActionRequired) -> Message:
    message = payment_event_pb2.PaymentActionRequired(next_action=redirect_message(event.redirect))
    message.expires_at.FromDatetime(event.expires_at)
    return message


def _authorized(event: events.PaymentAuthorized) -> Message:
    return payment_event_pb2.PaymentAuthorized(amount=money_message(event.amount))


def _captured(event: events.PaymentCaptured) -> Message:
    return payment_event_pb2.PaymentCaptured(
        amount=money_message(event.amount),
        amount_released=money_message(event.released),
        platform_fee=money_message(event.platform_fee),
    )


def _failed(event: events.PaymentFailed) -> Message:
    return payment_event_pb2.PaymentFailed(error=final_error_message(event.error))


def _voided(event: events.PaymentVoided) -> Message:
    return payment_event_pb2.PaymentVoided(amount=money_message(event.amount), cause=event.cause)


def _completed(event: events.PaymentCompleted) -> Message:
    return payment_event_pb2.PaymentCompleted(
        total_amount=money_message(event.total), request_id=event.request_id
    )


def _in_doubt(event: events.PaymentInDoubt) -> Message:
    return payment_event_pb2.PaymentInDoubt(
        attempt_id=event.attempt_id,
        processor_id=event.processor_id,
        operation=OPERATION_NUMBERS[event.operation],
        amount=money_message(event.amount),
    )


def _posting_rejected(event: events.PaymentPostingRejected) -> Message:
    return payment_event_pb2.PaymentPostingRejected(
        posting_id=event.posting_id,
        idempotency_key=event.idempotency_key,
        amount=money_message(event.amount),
        failure=failure_pb2.Failure(
            reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{event.reason}"),
            message=event.message,
        ),
    )


def _step_succeeded(event: events.StepSucceeded) -> Message:
    return step_event_pb2.StepSucceeded(
        step_index=event.step_index,
        processor_id=event.processor_id,
        latency_ms=event.latency_ms,
        amount=money_message(event.amount),
    )


def _step_failed(event: events.StepFailed) -> Message:
    return step_event_pb2.StepFailed(
        step_index=event.step_index,
        processor_id=event.processor_id,
        error_code=ERROR_CODE_NUMBERS[event.error_code],
        retryable=event.is_retryable,
        latency_ms=event.latency_ms,
    )


def _confirm_requested(event: events.PaymentConfirmRequested) -> Message:
    return command_pb2.PaymentConfirmRequested(payment_version=event.payment_version)


def _refunded(event: events.PaymentRefunded) -> Message:
    return payment_event_pb2.PaymentRefunded(
        refund_id=event.refund_id,
        amount=money_message(event.amount),
        platform_fee_returned=money_message(event.fee_returned),
        amount_refunded=money_message(event.total_refunded),
        full=event.is_full,
    )


def _refund_failed(event: events.PaymentRefundFailed) -> Message:
    return payment_event_pb2.PaymentRefundFailed(
        refund_id=event.refund_id,
        amount=money_message(event.amount),
        error=final_error_message(event.error),
    )


def _disputed(event: events.PaymentDisputed) -> Message:
    return payment_event_pb2.PaymentDisputed(
        dispute_id=event.dispute_id,
        amount=money_message(event.amount),
        amount_excess=money_message(event.excess),
        reason=event.reason,
    )


def _dispute_closed(event: events.PaymentDisputeClosed) -> Message:
    return payment_event_pb2.PaymentDisputeClosed(
        dispute_id=event.dispute_id, amount=money_message(event.amount), won=event.is_won
    )


def _doubt_settled(event: events.PaymentDoubtSettled) -> Message:
    return payment_event_pb2.PaymentDoubtSettled(
        attempt_id=event.attempt_id, outcome=OUTCOME_NUMBERS[event.outcome], source=event.source
    )


def _succeeded_late(event: events.PaymentSucceededLate) -> Message:
    return payment_event_pb2.PaymentSucceededLate(
        attempt_id=event.attempt_id,
        processor_id=event.processor_id,
        operation=OPERATION_NUMBERS[event.operation],
        amount=money_message(event.amount),
    )


# Each event by the field of the envelope that carries it; a writer takes its own kind alone.
_PAYLOADS: Final[dict[type[DomainEvent], tuple[str, Callable[[Any], Message]]]] = {
    events.PaymentCreated: ("payment_created", _created),
    events.PaymentActionRequired: ("payment_action_required", _action_required),
    events.PaymentAuthorized: ("payment_authorized", _authorized),
    events.PaymentCaptured: ("payment_captured", _captured),
    events.PaymentFailed: ("payment_failed", _failed),
    events.PaymentVoided: ("payment_voided", _voided),
    events.PaymentCompleted: ("payment_completed", _completed),
    events.PaymentInDoubt: ("payment_in_doubt", _in_doubt),
    events.PaymentPostingRejected: ("payment_posting_rejected", _posting_rejected),
    events.PaymentConfirmRequested: ("payment_confirm_requested", _confirm_requested),
    events.PaymentRefunded: ("payment_refunded", _refunded),
    events.PaymentRefundFailed: ("payment_refund_failed", _refund_failed),
    events.PaymentDisputed: ("payment_disputed", _disputed),
    events.PaymentDisputeClosed: ("payment_dispute_closed", _dispute_closed),
    events.PaymentDoubtSettled: ("payment_doubt_settled", _doubt_settled),
    events.PaymentSucceededLate: ("payment_succeeded_late", _succeeded_late),
    events.StepSucceeded: ("step_succeeded", _step_succeeded),
    events.StepFailed: ("step_failed", _step_failed),
}
