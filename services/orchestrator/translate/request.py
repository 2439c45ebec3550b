"""A strict request and its message."""

from payments.core.v1 import core_request_context_pb2, validation_issue_pb2
from payments.core.v1.core_request_context_pb2 import CoreRequestContext as RequestMessage

from services.kernel.context import CoreRequestContext, StepPreference, ValidationIssue
from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.ids import ApiKeyId, MerchantId, RequestId
from services.orchestrator.translate.words import (
    CAPTURE_METHODS,
    CAPTURE_NUMBERS,
    SEVERITIES,
    SPLIT_NUMBERS,
    SPLIT_POLICIES,
    choice,
    instrument_from,
    instrument_message,
    issue_message,
    moment,
    money_from,
    money_message,
    word,
)


def request_from_message(message: RequestMessage) -> CoreRequestContext:
    """The request, or why it is not strict."""
    try:
        return CoreRequestContext(
            request_id=RequestId.parse(message.request_id),
            merchant_id=MerchantId.parse(message.merchant_id),
            api_key_id=ApiKeyId.parse(message.api_key_id) if message.api_key_id else None,
            idempotency_key=message.idempotency_key,
            idempotency_key_generated=message.idempotency_key_generated,
            amount=money_from(message.amount),
            instrument=instrument_from("context.instrument", message.instrument),
            steps=tuple(
                _preference_from(f"context.steps[{number}]", step)
                for number, step in enumerate(message.steps)
            ),
            split_policy=choice("context.split_policy", message.split_policy, SPLIT_POLICIES),
            capture_method=choice(
                "context.capture_method", message.capture_method, CAPTURE_METHODS
            ),
            user_id=message.user_id or None,
            email=message.email or None,
            country=message.country or None,
            return_url=message.return_url or None,
            metadata=dict(message.metadata),
            issues=tuple(
                _issue_from(f"context.issues[{number}]", issue)
                for number, issue in enumerate(message.issues)
            ),
            received_at=moment("context.received_at", message.received_at),
            traceparent=message.traceparent or None,
        )
    except ValueError as error:
        raise InvalidArgument(
            f"the request is not strict: {error}",
            violations=[FieldViolation("context", "context.strict", str(error))],
        ) from error


def request_message(request: CoreRequestContext) -> RequestMessage:
    message = RequestMessage(
        request_id=request.request_id,
        merchant_id=request.merchant_id,
        api_key_id=request.api_key_id or "",
        idempotency_key=request.idempotency_key,
        idempotency_key_generated=request.idempotency_key_generated,
        amount=money_message(request.amount),
        instrument=instrument_message(request.instrument),
        steps=[_preference_message(step) for step in request.steps],
        user_id=request.user_id or "",
        email=request.email or "",
        traceparent=request.traceparent or "",
        country=request.country or "",
        return_url=request.return_url or "",
        metadata=request.metadata,
        issues=[issue_message(issue) for issue in request.issues],
    )
    if request.split_policy is not None:
        message.split_policy = SPLIT_NUMBERS[request.split_policy]
    if request.capture_method is not None:
        message.capture_method = CAPTURE_NUMBERS[request.capture_method]
    message.received_at.FromDatetime(request.received_at)
    return message


def _preference_from(path: str, message: core_request_context_pb2.StepPreference) -> StepPreference:
    return StepPreference(
        instrument_from(f"{path}.instrument", message.instrument),
        money_from(message.max_amount) if message.HasField("max_amount") else None,
    )


def _preference_message(step: StepPreference) -> core_request_context_pb2.StepPreference:
    message = core_request_context_pb2.StepPreference(
        instrument=instrument_message(step.instrument)
    )
    if step.max_amount is not None:
        message.max_amount.CopyFrom(money_message(step.max_amount))
    return message


def _issue_from(path: str, message: validation_issue_pb2.ValidationIssue) -> ValidationIssue:
    return ValidationIssue(
        rule=message.rule,
        severity=word(f"{path}.severity", message.severity, SEVERITIES),
        field=message.field,
        raw=message.raw,
        coerced=message.coerced,
        message=message.message,
    )
