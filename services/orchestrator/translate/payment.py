"""A payment as callers are told of it."""

from collections import Counter

from payments.orchestrator.v1 import payment_pb2
from payments.result.v1 import composite_result_pb2, result_pb2

from services.kernel.ids import StepId
from services.orchestrator.domain.attempt import Redirect, Step
from services.orchestrator.domain.events import FinalError
from services.orchestrator.domain.payment import Payment
from services.orchestrator.translate.words import (
    CAPTURE_NUMBERS,
    ERROR_CODE_NUMBERS,
    POSTING_STATE_NUMBERS,
    SPLIT_NUMBERS,
    STATE_NUMBERS,
    STEP_STATE_NUMBERS,
    issue_message,
    money_message,
)


def payment_message(payment: Payment) -> payment_pb2.Payment:
    request, standing, plan = payment.request, payment.standing, payment.plan
    message = payment_pb2.Payment(
        id=payment.id,
        merchant_id=payment.merchant_id,
        state=STATE_NUMBERS[standing.state],
        version=payment.version,
        amount=money_message(payment.amount),
        amount_authorized=money_message(payment.total("held")),
        amount_captured=money_message(payment.total("captured")),
        amount_refunded=money_message(payment.total("refunded")),
        amount_disputed=money_message(payment.total("disputed")),
        amount_excess=money_message(payment.total("excess")),
        platform_fee=money_message(payment.total("fee_kept")),
        user_id=request.user_id or "",
        email=request.email or "",
        metadata=request.metadata,
        idempotency_key=request.idempotency_key,
        request_id=request.request_id,
        in_doubt=standing.in_doubt_since is not None,
        validation_issues=[issue_message(issue) for issue in request.issues],
        posting_state=POSTING_STATE_NUMBERS[payment.posting_state],
        needs_reconciliation=standing.needs_reconciliation,
    )
    capture_method = request.capture_method if plan is None else plan.capture_method
    split_policy = request.split_policy if plan is None else plan.split_policy
    if capture_method is not None:
        message.capture_method = CAPTURE_NUMBERS[capture_method]
    if split_policy is not None:
        message.split_policy = SPLIT_NUMBERS[split_policy]
    if plan is not None:
        message.config_version = plan.config_version
        message.result.CopyFrom(_composite_result(payment))
    _set_times(message, payment)
    return message


def redirect_message(redirect: Redirect) -> result_pb2.NextAction:
    return result_pb2.NextAction(
        redirect=result_pb2.RedirectAction(
            redirect_url=redirect.url, return_url=redirect.return_url
        )
    )


def final_error_message(error: FinalError) -> composite_result_pb2.FinalError:
    return composite_result_pb2.FinalError(
        code=ERROR_CODE_NUMBERS[error.code],
        decline_code=error.decline_code,
        user_message=error.user_message,
        step_index=error.step_index,
    )


def _set_times(message: payment_pb2.Payment, payment: Payment) -> None:
    standing = payment.standing
    message.created_at.FromDatetime(standing.created_at)
    message.updated_at.FromDatetime(standing.updated_at)
    if standing.redirect is not None:
        message.next_action.CopyFrom(redirect_message(standing.redirect))
    if standing.action_expires_at is not None:
        message.action_expires_at.FromDatetime(standing.action_expires_at)
    if standing.in_doubt_since is not None:
        message.in_doubt_since.FromDatetime(standing.in_doubt_since)


def _composite_result(payment: Payment) -> composite_result_pb2.CompositeResult:
    processed = payment.total_processed
    attempts = Counter(attempt.step_id for attempt in payment.attempts)
    message = composite_result_pb2.CompositeResult(
        success=processed == payment.amount,
        total_processed=money_message(processed),
        remaining_amount=money_message(payment.amount - processed),
        step_results=[_step_result(step, attempts) for step in payment.steps],
    )
    if (error := payment.standing.final_error) is not None:
        message.final_error.CopyFrom(final_error_message(error))
    return message


def _step_result(step: Step, attempts: Counter[StepId]) -> composite_result_pb2.StepResult:
    message = composite_result_pb2.StepResult(
        step_index=step.index,
        step_id=step.id,
        state=STEP_STATE_NUMBERS[step.state],
        amount=money_message(step.amount),
        amount_processed=money_message(step.processed),
        processor_id=step.processor_id or "",
        retryable=step.is_retryable,
        latency_ms=step.latency_ms,
        attempt_count=attempts[step.id],
        processor_reference=step.processor_reference or "",
    )
    if step.error_code is not None:
        message.error_code = ERROR_CODE_NUMBERS[step.error_code]
    return message
