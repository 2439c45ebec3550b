"""Attempts as the router is sent them, and what it answers."""

from collections.abc import Mapping

from payments.processor.v1.attempt_pb2 import Attempt as AttemptMessage
from payments.result.v1.result_pb2 import Result
from payments.router.v1.router_service_pb2 import (
    ExecuteAttemptRequest,
    ExecuteAttemptResponse,
    LookupAttemptRequest,
    LookupAttemptResponse,
)

from services.kernel.context import TRACE_METADATA_KEY
from services.kernel.errors import InvalidArgument, SwitchyardError
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Execution, Order, Redirect
from services.orchestrator.domain.state import Operation
from services.orchestrator.translate.plan import retry_policy_message
from services.orchestrator.translate.words import (
    ERROR_CODE_NUMBERS,
    ERROR_CODES,
    OPERATION_NUMBERS,
    OUTCOMES,
    instrument_message,
    kept,
    money_message,
)
from services.runtime.wire.amounts import money_from


def execute_request(order: Order) -> ExecuteAttemptRequest:
    request = ExecuteAttemptRequest(
        attempt=attempt_message(order),
        idempotency_key=order.attempt.idempotency_key,
        retry_policy=retry_policy_message(order.retry_policy),
        alternative_processor_ids=order.alternatives,
        failover_on_soft_decline=order.failover_on_soft_decline,
        may_have_been_sent=order.sent_before,
    )
    request.timeout.FromTimedelta(order.timeout)
    return request


def lookup_request(order: Order) -> LookupAttemptRequest:
    request = LookupAttemptRequest(
        attempt=attempt_message(order), idempotency_key=order.attempt.idempotency_key
    )
    request.timeout.FromTimedelta(order.timeout)
    return request


def execution_from_lookup(response: LookupAttemptResponse) -> Execution:
    """What was found out about an attempt, kept in the shape of an answer to it."""
    found = ExecuteAttemptResponse(result=response.result, tries=response.tries)
    return execution_from_response(found)


def execution_not_found(order: Order, error: SwitchyardError) -> Execution:
    """What it means for an attempt that it could not even be looked up: nothing."""
    response = ExecuteAttemptResponse()
    response.result.processor_id = order.attempt.processor_id
    response.result.raw.fields["problem"].string_value = str(error)
    return Execution(Outcome.UNKNOWN, record=response.SerializeToString())


def execution_from_response(response: ExecuteAttemptResponse) -> Execution:
    """What came of an attempt; an outcome that is not understood may be a success."""
    result = response.result
    return Execution(
        outcome=OUTCOMES.get(result.outcome, Outcome.UNKNOWN),
        reference=kept(result.processor_reference) or None,
        error_code=ERROR_CODES.get(result.error_code),
        decline_code=kept(result.decline_code),
        user_message=kept(result.user_message),
        is_retryable=result.retryable,
        latency_ms=result.latency_ms,
        redirect=_redirect(result),
        failover_to=response.failover_to or None,
        captured=_captured(result),
        record=response.SerializeToString(),
    )


def _captured(result: Result) -> Money | None:
    return money_from(result.amount_captured) if result.HasField("amount_captured") else None


def execution_without_answer(order: Order, error: SwitchyardError) -> Execution:
    """What it means for an attempt that RouterService itself failed to answer.

    Only an order that it refuses as no order was certainly not sent, unless that was so before.
    """
    is_refusal = isinstance(error, InvalidArgument) and not order.sent_before
    outcome = Outcome.FAILED if is_refusal else Outcome.UNKNOWN
    code = ErrorCode.PROCESSING_ERROR if is_refusal else ErrorCode.TIMEOUT
    response = ExecuteAttemptResponse()
    response.result.processor_id = order.attempt.processor_id
    response.result.error_code = ERROR_CODE_NUMBERS[code]
    response.result.raw.fields["problem"].string_value = str(error)
    return Execution(outcome, error_code=code, record=response.SerializeToString())


def attempt_message(order: Order) -> AttemptMessage:
    attempt = order.attempt
    message = AttemptMessage(
        id=attempt.id,
        payment_id=order.payment_id,
        step_id=attempt.step_id,
        merchant_id=order.merchant_id,
        processor_id=attempt.processor_id,
        operation=OPERATION_NUMBERS[attempt.operation],
        amount=money_message(attempt.amount),
        processor_reference=attempt.hold or "",
        refund_id=order.refund_id or "",
        metadata=_with_trace(order),
    )
    if attempt.operation is Operation.AUTHORIZE:
        message.instrument.CopyFrom(instrument_message(order.instrument))
        message.return_url = order.return_url or ""
        message.capture_at_once = attempt.capture_at_once
    message.created_at.FromDatetime(attempt.created_at)
    message.key_expires_at.FromDatetime(attempt.key_expires_at)
    return message


def _redirect(result: Result) -> Redirect | None:
    if not result.next_action.HasField("redirect"):
        return None
    redirect = result.next_action.redirect
    return Redirect(kept(redirect.redirect_url), kept(redirect.return_url))


def _with_trace(order: Order) -> Mapping[str, str]:
    """The merchant's words, and beside them the trace: it is ours to name, and theirs is left out.

    It is the stored one, the same for every try: a processor refuses a key with another body.
    """
    if order.traceparent is None and TRACE_METADATA_KEY not in order.metadata:
        return order.metadata
    words = {name: word for name, word in order.metadata.items() if name != TRACE_METADATA_KEY}
    if order.traceparent is not None:
        words[TRACE_METADATA_KEY] = order.traceparent
    return words
