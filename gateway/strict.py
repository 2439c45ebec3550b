"""The strict request as a message: the last that the gateway makes of what a merchant sent."""

from typing import Final

from payments.core.v1.core_request_context_pb2 import CoreRequestContext as ContextMessage
from payments.core.v1.core_request_context_pb2 import StepPreference as StepMessage
from payments.core.v1.payment_method_pb2 import PaymentInstrument as InstrumentMessage
from payments.core.v1.validation_issue_pb2 import Severity as SeverityMessage
from payments.core.v1.validation_issue_pb2 import ValidationIssue as IssueMessage

from services.kernel.context import (
    CoreRequestContext,
    PaymentInstrument,
    Severity,
    StepPreference,
    ValidationIssue,
)
from services.runtime.wire.amounts import money_message
from services.runtime.wire.words import (
    CAPTURE_NUMBERS,
    METHOD_NUMBERS,
    NETWORK_NUMBERS,
    SPLIT_NUMBERS,
)

_SEVERITIES: Final = {word: SeverityMessage.Value(f"SEVERITY_{word.name}") for word in Severity}


def context_message(context: CoreRequestContext) -> ContextMessage:
    message = ContextMessage(
        request_id=context.request_id,
        merchant_id=context.merchant_id,
        api_key_id=context.api_key_id or "",
        idempotency_key=context.idempotency_key,
        idempotency_key_generated=context.idempotency_key_generated,
        amount=money_message(context.amount),
        instrument=instrument_message(context.instrument),
        steps=[_step_message(step) for step in context.steps],
        user_id=context.user_id or "",
        email=context.email or "",
        country=context.country or "",
        return_url=context.return_url or "",
        metadata=context.metadata,
        issues=[_issue_message(issue) for issue in context.issues],
    )
    if context.split_policy is not None:
        message.split_policy = SPLIT_NUMBERS[context.split_policy]
    if context.capture_method is not None:
        message.capture_method = CAPTURE_NUMBERS[context.capture_method]
    message.received_at.FromDatetime(context.received_at)
    return message


def instrument_message(instrument: PaymentInstrument) -> InstrumentMessage:
    message = InstrumentMessage(
        method=METHOD_NUMBERS[instrument.method], token=instrument.token or ""
    )
    if instrument.network is not None:
        message.network = NETWORK_NUMBERS[instrument.network]
    return message


def _step_message(step: StepPreference) -> StepMessage:
    message = StepMessage(instrument=instrument_message(step.instrument))
    if step.max_amount is not None:
        message.max_amount.CopyFrom(money_message(step.max_amount))
    return message


def _issue_message(issue: ValidationIssue) -> IssueMessage:
    return IssueMessage(
        rule=issue.rule,
        severity=_SEVERITIES[issue.severity],
        field=issue.field,
        raw=issue.raw,
        coerced=issue.coerced,
        message=issue.message,
    )
