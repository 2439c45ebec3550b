"""The router's messages and its domain, each in terms of the other."""

from datetime import timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from payments.core.v1 import error_code_pb2, operation_pb2, payment_terms_pb2
from payments.processor.v1 import attempt_pb2
from payments.result.v1 import result_pb2
from payments.router.v1 import circuit_breaker_pb2, router_service_pb2, routing_pb2

from services.kernel.errors import FieldViolation, InvalidArgument, Reason, invalid_field
from services.kernel.outcome import ErrorCode, Outcome
from services.kernel.paging import decode_page_token, encode_page_token
from services.kernel.retry import MAX_TRIES, RetryPolicy
from services.router.domain.attempt import (
    DEFAULT_TIMEOUT,
    Answer,
    Decision,
    Execution,
    Operation,
    Order,
    Try,
)
from services.router.domain.breaker import BreakerState, CircuitBreaker
from services.runtime.wire.moments import moment_from

_OPERATIONS: Final = {
    operation_pb2.Operation.Value(f"OPERATION_{operation.name}"): operation
    for operation in Operation
}
_OPERATION_NUMBERS: Final = {operation: number for number, operation in _OPERATIONS.items()}
_OUTCOMES: Final = {
    result_pb2.Outcome.Value(f"OUTCOME_{outcome.name}"): outcome for outcome in Outcome
}
_OUTCOME_NUMBERS: Final = {outcome: number for number, outcome in _OUTCOMES.items()}
_CODES: Final = {
    error_code_pb2.ErrorCode.Value(f"ERROR_CODE_{code.name}"): code for code in ErrorCode
}
_CODE_NUMBERS: Final = {code: number for number, code in _CODES.items()}
_STATES: Final = {
    circuit_breaker_pb2.CircuitBreakerState.Value(f"CIRCUIT_BREAKER_STATE_{state.name}"): state
    for state in BreakerState
}
_STATE_NUMBERS: Final = {state: number for number, state in _STATES.items()}


def order_from_request(request: router_service_pb2.ExecuteAttemptRequest) -> Order:
    """The order to carry out; the processor itself is never its own alternative."""
    own = request.attempt.processor_id
    return _order(
        request.attempt,
        request.idempotency_key,
        retry_policy=_retry_policy(request),
        alternatives=tuple(
            other for other in dict.fromkeys(request.alternative_processor_ids) if other != own
        ),
        failover_on_soft_decline=request.failover_on_soft_decline,
        may_have_been_sent=request.may_have_been_sent,
    )


def order_from_lookup(request: router_service_pb2.LookupAttemptRequest) -> Order:
    """The order that is asked about."""
    return _order(request.attempt, request.idempotency_key)


def timeout_of(
    request: router_service_pb2.ExecuteAttemptRequest | router_service_pb2.LookupAttemptRequest,
) -> timedelta:
    """How long all of it may take."""
    if not request.HasField("timeout"):
        return DEFAULT_TIMEOUT
    timeout = _span("timeout", request.timeout)
    if timeout <= timedelta(0):
        raise invalid_field("timeout", "timeout.positive", "must be more than nothing")
    return timeout


def answer_from_result(processor_id: str, result: result_pb2.Result) -> Answer:
    """The processor's result, as far as it decides what comes next."""
    return Answer(
        processor_id=processor_id,
        # An outcome that is not understood must not pass for a failure.
        outcome=_OUTCOMES.get(result.outcome, Outcome.UNKNOWN),
        error_code=_CODES.get(result.error_code),
        is_retryable=result.retryable,
        decline_code=result.decline_code,
        result=result,
    )


def execute_response(execution: Execution) -> router_service_pb2.ExecuteAttemptResponse:
    return router_service_pb2.ExecuteAttemptResponse(
        result=_result_message(execution.answer),
        failover_to=execution.failover_to or "",
        decisions=[_decision_message(decision) for decision in execution.decisions],
        tries=[_try_message(each) for each in execution.tries],
    )


def lookup_response(execution: Execution) -> router_service_pb2.LookupAttemptResponse:
    return router_service_pb2.LookupAttemptResponse(
        result=_result_message(execution.answer),
        tries=[_try_message(each) for each in execution.tries],
    )


def breaker_message(breaker: CircuitBreaker) -> circuit_breaker_pb2.CircuitBreaker:
    message = circuit_breaker_pb2.CircuitBreaker(
        processor_id=breaker.processor_id,
        operation=_OPERATION_NUMBERS[breaker.operation],
        state=_STATE_NUMBERS[breaker.state],
        consecutive_failures=breaker.consecutive_failures,
        last_failure=breaker.last_failure,
    )
    if breaker.opened_at is not None:
        message.opened_at.FromDatetime(breaker.opened_at)
    if (probe_at := breaker.probe_at) is not None:
        message.probe_at.FromDatetime(probe_at)
    return message


def wanted_state(request: router_service_pb2.ListCircuitBreakersRequest) -> BreakerState | None:
    if request.state and request.state not in _STATES:
        raise invalid_field("state", "enum.known", "is no state that is known here")
    return _STATES.get(request.state)


def breakers_after(
    request: router_service_pb2.ListCircuitBreakersRequest,
) -> tuple[str, str] | None:
    """The breaker after which the page begins."""
    cursor = decode_page_token(request.page_token, _filters(request), length=2)
    return None if cursor is None else (cursor[0], cursor[1])


def breakers_token(
    request: router_service_pb2.ListCircuitBreakersRequest, after: tuple[str, str] | None
) -> str:
    return "" if after is None else encode_page_token(_filters(request), after)


def _order(
    attempt: attempt_pb2.Attempt,
    idempotency_key: str,
    *,
    retry_policy: RetryPolicy = RetryPolicy(),  # noqa: B008 -- it never changes
    alternatives: tuple[str, ...] = (),
    failover_on_soft_decline: bool = False,
    may_have_been_sent: bool = False,
) -> Order:
    operation = _OPERATIONS.get(attempt.operation)
    if operation is None or operation is Operation.LOOKUP:
        message = "must be to authorize, capture, void or refund"
        raise invalid_field("attempt.operation", "attempt.operation.expected", message)
    if not attempt.processor_id:
        raise invalid_field("attempt.processor_id", "processor_id.present", "must not be empty")
    if not idempotency_key:
        raise InvalidArgument(
            "an attempt is sent under its key",
            reason=Reason.IDEMPOTENCY_KEY_MISSING,
            violations=[
                FieldViolation("idempotency_key", "idempotency_key.present", "must not be empty")
            ],
        )
    return Order(
        attempt=attempt,
        attempt_id=attempt.id,
        processor_id=attempt.processor_id,
        operation=operation,
        idempotency_key=idempotency_key,
        key_expires_at=moment_from("attempt.key_expires_at", attempt.key_expires_at)
        if attempt.HasField("key_expires_at")
        else None,
        retry_policy=retry_policy,
        alternatives=alternatives,
        failover_on_soft_decline=failover_on_soft_decline,
        may_have_been_sent=may_have_been_sent,
    )


def _retry_policy(request: router_service_pb2.ExecuteAttemptRequest) -> RetryPolicy:
    if not request.HasField("retry_policy"):
        return RetryPolicy()
    policy: payment_terms_pb2.RetryPolicy = request.retry_policy
    numbers = (policy.max_tries, policy.backoff_growth_percent, policy.jitter_percent)
    waits = (
        _span("retry_policy.initial_backoff", policy.initial_backoff),
        _span("retry_policy.max_backoff", policy.max_backoff),
    )
    if min(numbers) < 0 or min(waits) < timedelta(0) or policy.jitter_percent > 100:
        message = "holds a number that is negative, or a jitter of more than 100 percent"
        raise invalid_field("retry_policy", "retry_policy.range", message)
    return RetryPolicy(
        max_tries=min(policy.max_tries, MAX_TRIES) or MAX_TRIES,
        initial_backoff=waits[0],
        max_backoff=waits[1],
        backoff_growth_percent=policy.backoff_growth_percent,
        jitter_percent=policy.jitter_percent,
    )


def _result_message(answer: Answer) -> result_pb2.Result:
    """The processor's own telling, or what the router itself knows."""
    if isinstance(answer.result, result_pb2.Result):
        return answer.result
    message = result_pb2.Result(
        outcome=_OUTCOME_NUMBERS[answer.outcome],
        processor_id=answer.processor_id,
        retryable=answer.is_retryable,
    )
    if answer.error_code is not None:
        message.error_code = _CODE_NUMBERS[answer.error_code]
        message.user_message = answer.error_code.user_message
    if answer.message:
        message.raw.fields["problem"].string_value = answer.message
    return message


def _decision_message(decision: Decision) -> routing_pb2.RoutingDecision:
    message = routing_pb2.RoutingDecision(
        processor_id=decision.processor_id, rule=decision.rule, message=decision.message
    )
    message.decided_at.FromDatetime(decision.decided_at)
    return message


def _try_message(each: Try) -> routing_pb2.Try:
    message = routing_pb2.Try(
        number=each.number,
        operation=_OPERATION_NUMBERS[each.operation],
        result=_result_message(each.answer),
    )
    message.sent_at.FromDatetime(each.sent_at)
    return message


def _span(field: str, duration: Duration) -> timedelta:
    try:
        return duration.ToTimedelta()
    except OverflowError:
        raise invalid_field(field, "span.range", "is longer than can be") from None


def _filters(request: router_service_pb2.ListCircuitBreakersRequest) -> str:
    return f"ListCircuitBreakers {request.processor_id} {request.state}"
