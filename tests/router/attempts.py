"""Short ways to write down attempts and what processors answer to them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from payments.core.v1 import error_code_pb2
from payments.core.v1.money_pb2 import Money
from payments.core.v1.operation_pb2 import Operation
from payments.core.v1.payment_method_pb2 import PaymentInstrument, PaymentMethod
from payments.core.v1.payment_terms_pb2 import RetryPolicy
from payments.processor.v1.attempt_pb2 import Attempt
from payments.result.v1.result_pb2 import Outcome, Result
from payments.router.v1.router_service_pb2 import (
    ExecuteAttemptRequest,
    ExecuteAttemptResponse,
    LookupAttemptRequest,
)

from services.kernel.ids import AttemptId, MerchantId, PaymentId, StepId
from services.kernel.outcome import ErrorCode

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
VOID = Operation.OPERATION_VOID
REFUND = Operation.OPERATION_REFUND
LOOKUP = Operation.OPERATION_LOOKUP


def committed(
    processor_id: str = "stripe",
    operation: Operation.ValueType = AUTHORIZE,
    *,
    amount_minor: int = 1250,
    token: str = "pm_card_visa",  # noqa: S107 -- a test token's public name
    key_expires_at: datetime | None = None,
) -> Attempt:
    message = Attempt(
        id=AttemptId.new(),
        payment_id=PaymentId.new(),
        step_id=StepId.new(),
        merchant_id=MerchantId.new(),
        processor_id=processor_id,
        operation=operation,
        amount=Money(amount_minor=amount_minor, currency="USD"),
        instrument=PaymentInstrument(method=PaymentMethod.PAYMENT_METHOD_CARD, token=token),
    )
    message.key_expires_at.FromDatetime(key_expires_at or datetime.now(UTC) + timedelta(hours=20))
    return message


def attempt(
    processor_id: str = "stripe",
    operation: Operation.ValueType = AUTHORIZE,
    *,
    key: str = "",
    alternatives: tuple[str, ...] = ("backup", "third"),
    max_tries: int = 3,
    timeout_seconds: float = 30,
    soft: bool = False,
    sent_before: bool = False,
    **changed: Any,
) -> ExecuteAttemptRequest:
    policy = RetryPolicy(max_tries=max_tries, backoff_growth_percent=100, jitter_percent=100)
    policy.initial_backoff.FromMilliseconds(200)
    policy.max_backoff.FromSeconds(2)
    message = committed(processor_id, operation, **changed)
    request = ExecuteAttemptRequest(
        attempt=message,
        idempotency_key=key or message.id,
        retry_policy=policy,
        alternative_processor_ids=alternatives,
        failover_on_soft_decline=soft,
        may_have_been_sent=sent_before,
    )
    request.timeout.FromMilliseconds(round(timeout_seconds * 1000))
    return request


def lookup_of(request: ExecuteAttemptRequest) -> LookupAttemptRequest:
    return LookupAttemptRequest(attempt=request.attempt, idempotency_key=request.idempotency_key)


def succeeded() -> Result:
    return Result(outcome=Outcome.OUTCOME_SUCCEEDED, success=True, processor_reference="pi_1")


def failed(code: ErrorCode, *, retryable: bool | None = None, decline_code: str = "") -> Result:
    return Result(
        outcome=Outcome.OUTCOME_FAILED,
        error_code=error_code_pb2.ErrorCode.Value(f"ERROR_CODE_{code.name}"),
        retryable=code.is_retryable if retryable is None else retryable,
        decline_code=decline_code,
    )


def unknown(code: ErrorCode = ErrorCode.TIMEOUT) -> Result:
    return Result(
        outcome=Outcome.OUTCOME_UNKNOWN,
        error_code=error_code_pb2.ErrorCode.Value(f"ERROR_CODE_{code.name}"),
    )


def nothing_found() -> Result:
    return unknown(ErrorCode.PROCESSING_ERROR)


def rules_of(response: ExecuteAttemptResponse) -> list[str]:
    """The rules by which the router has decided, in their order."""
    return [decision.rule for decision in response.decisions]
