"""Payment: what merchants are shown of one."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from payments.core.v1.validation_issue_pb2 import ValidationIssue as IssueMessage
from payments.orchestrator.v1.payment_pb2 import Payment as PaymentMessage
from payments.result.v1.composite_result_pb2 import CompositeResult as ResultMessage
from payments.result.v1.composite_result_pb2 import FinalError as FinalErrorMessage
from payments.result.v1.composite_result_pb2 import StepResult as StepMessage
from payments.result.v1.result_pb2 import NextAction as NextActionMessage
from typing_extensions import TypedDict

from gateway.shapes.ledger import LedgerLines
from gateway.shapes.words import (
    CAPTURE_METHODS,
    ERROR_CODES,
    POSTING_STATES,
    SEVERITIES,
    SPLIT_POLICIES,
    STATES,
    STEP_STATES,
    known,
    moment,
)
from services.kernel.context import ValidationIssue as ReadIssue

PaymentStatus = Literal[
    "created",
    "confirming",
    "failed",
    "authorized",
    "captured",
    "refunded",
    "disputed",
    "voided",
]
PaymentErrorCode = Literal[
    "timeout",
    "declined",
    "insufficient_funds",
    "expired_card",
    "invalid_card",
    "authentication_required",
    "rate_limited",
    "network_failure",
    "processing_error",
    "unknown",
]
StepStatus = Literal[
    "pending",
    "processing",
    "requires_action",
    "in_doubt",
    "authorized",
    "captured",
    "failed",
    "voided",
    "refunded",
    "skipped",
]


class ValidationIssue(TypedDict):
    """One leniency that was needed to read a request; each rule is a page entry of its own."""

    rule: str
    severity: Literal["info", "warning", "error", "critical"]
    field: str
    raw: str
    coerced: str
    message: str


class NextAction(TypedDict):
    """What the customer must do before the payment can go on."""

    type: Literal["redirect"]
    redirect_url: str
    return_url: str | None


class StepResult(TypedDict):
    """What one step of the plan came to."""

    step_index: int
    step_id: str
    status: StepStatus
    amount: int
    amount_processed: int
    processor_id: str | None
    error_code: PaymentErrorCode | None
    retryable: bool
    latency_ms: int
    attempt_count: int
    processor_reference: str | None


class FinalError(TypedDict):
    """The error that decided the payment, with what the customer may be told of it."""

    code: PaymentErrorCode
    decline_code: str | None
    user_message: str
    step_index: int


class CompositeResult(TypedDict):
    """What all the steps came to together."""

    success: bool
    total_processed: int
    remaining_amount: int
    step_results: list[StepResult]
    final_error: FinalError | None


class Payment(TypedDict):
    """One payment; a payment that is `created` is what is known as an intent."""

    object: Literal["payment"]
    id: str
    payment_id: str
    status: PaymentStatus
    in_doubt: bool
    amount: int
    currency: str
    amount_authorized: int
    amount_captured: int
    amount_refunded: int
    amount_disputed: int
    platform_fee: int
    capture_method: Literal["automatic", "manual"] | None
    split_policy: Literal["all_or_nothing", "partial"] | None
    user_id: str | None
    metadata: dict[str, str]
    idempotency_key: str
    request_id: str
    next_action: NextAction | None
    action_expires_at: str | None
    result: CompositeResult | None
    validation_issues: list[ValidationIssue]
    posting: Literal["none", "pending", "posted", "needs_reconciliation"]
    needs_reconciliation: bool
    created_at: str
    updated_at: str


class BookedPayment(Payment):
    """One payment with its lines in the ledger; null while the ledger cannot be reached."""

    ledger: list[LedgerLines] | None


_NO_ISSUES: Final[Sequence[ReadIssue]] = ()


def payment_shape(message: PaymentMessage, issues: Sequence[ReadIssue] = _NO_ISSUES) -> Payment:
    """A payment; `issues` are those of the call at hand, which come after the payment's own."""
    return {
        "object": "payment",
        "id": message.id,
        "payment_id": message.id,
        "status": STATES[message.state],
        "in_doubt": message.in_doubt,
        "amount": message.amount.amount_minor,
        "currency": message.amount.currency,
        "amount_authorized": message.amount_authorized.amount_minor,
        "amount_captured": message.amount_captured.amount_minor,
        "amount_refunded": message.amount_refunded.amount_minor,
        "amount_disputed": message.amount_disputed.amount_minor,
        "platform_fee": message.platform_fee.amount_minor,
        "capture_method": CAPTURE_METHODS.get(message.capture_method),
        "split_policy": SPLIT_POLICIES.get(message.split_policy),
        "user_id": known(message.user_id),
        "metadata": dict(message.metadata),
        "idempotency_key": message.idempotency_key,
        "request_id": message.request_id,
        "next_action": _next_action(message.next_action),
        "action_expires_at": (
            moment(message.action_expires_at) if message.HasField("action_expires_at") else None
        ),
        "result": _result(message.result) if message.HasField("result") else None,
        "validation_issues": [
            *(_stored_issue(issue) for issue in message.validation_issues),
            *map(issue_shape, issues),
        ],
        "posting": POSTING_STATES.get(message.posting_state, "none"),
        "needs_reconciliation": message.needs_reconciliation,
        "created_at": moment(message.created_at),
        "updated_at": moment(message.updated_at),
    }


def issue_shape(issue: ReadIssue) -> ValidationIssue:
    severity: Any = issue.severity.value
    return {
        "rule": issue.rule,
        "severity": severity,
        "field": issue.field,
        "raw": issue.raw,
        "coerced": issue.coerced,
        "message": issue.message,
    }


def final_error_shape(message: FinalErrorMessage) -> FinalError:
    return {
        "code": ERROR_CODES.get(message.code, "unknown"),
        "decline_code": known(message.decline_code),
        "user_message": message.user_message,
        "step_index": message.step_index,
    }


def _stored_issue(message: IssueMessage) -> ValidationIssue:
    return {
        "rule": message.rule,
        "severity": SEVERITIES[message.severity],
        "field": message.field,
        "raw": message.raw,
        "coerced": message.coerced,
        "message": message.message,
    }


def _next_action(message: NextActionMessage) -> NextAction | None:
    if message.WhichOneof("action") is None:
        return None
    redirect = message.redirect
    return {
        "type": "redirect",
        "redirect_url": redirect.redirect_url,
        "return_url": known(redirect.return_url),
    }


def _result(message: ResultMessage) -> CompositeResult:
    return {
        "success": message.success,
        "total_processed": message.total_processed.amount_minor,
        "remaining_amount": message.remaining_amount.amount_minor,
        "step_results": [_step(step) for step in message.step_results],
        "final_error": (
            final_error_shape(message.final_error) if message.HasField("final_error") else None
        ),
    }


def _step(message: StepMessage) -> StepResult:
    return {
        "step_index": message.step_index,
        "step_id": message.step_id,
        "status": STEP_STATES[message.state],
        "amount": message.amount.amount_minor,
        "amount_processed": message.amount_processed.amount_minor,
        "processor_id": known(message.processor_id),
        "error_code": ERROR_CODES.get(message.error_code),
        "retryable": message.retryable,
        "latency_ms": message.latency_ms,
        "attempt_count": message.attempt_count,
        "processor_reference": known(message.processor_reference),
    }
