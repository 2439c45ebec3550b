"""The processors' messages and their domain, each in terms of the other."""

from typing import Any, Final

from google.protobuf.message import Message
from payments.core.v1 import error_code_pb2, money_pb2, operation_pb2, payment_method_pb2
from payments.processor.v1 import (
    attempt_pb2,
    processor_event_pb2,
    processor_pb2,
    processor_service_pb2,
)
from payments.result.v1 import result_pb2

from services.kernel.context import PaymentInstrument, PaymentMethod
from services.kernel.errors import invalid_field
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId, StepId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode
from services.kernel.paging import decode_page_token, encode_page_token
from services.processor.domain.attempt import Attempt, Operation
from services.processor.domain.event import EventWindow, ProcessorEvent
from services.processor.domain.profile import ProcessorState, Profile
from services.processor.domain.verdict import Result
from services.runtime.wire.amounts import money_from
from services.runtime.wire.listing import filters_of
from services.runtime.wire.moments import optional_moment
from services.runtime.wire.words import METHODS, NETWORKS

_OPERATIONS: Final = {
    operation_pb2.Operation.Value(f"OPERATION_{operation.name}"): operation
    for operation in Operation
}
_ERROR_CODES: Final = {
    code: error_code_pb2.ErrorCode.Value(f"ERROR_CODE_{code.name}") for code in ErrorCode
}
_STATES: Final = {
    ProcessorState.ENABLED: processor_pb2.PROCESSOR_STATE_ENABLED,
    ProcessorState.DRAINING: processor_pb2.PROCESSOR_STATE_DRAINING,
}
_INT32_MAX: Final = 2**31 - 1


def attempt_from_message(
    message: attempt_pb2.Attempt, expected: Operation | None = None
) -> Attempt:
    """The attempt, or every reason why it cannot be carried out."""
    operation = _OPERATIONS.get(message.operation)
    if operation is None or (expected is not None and operation is not expected):
        wanted = f"must be {expected}" if expected else "is none that a processor knows"
        raise invalid_field("attempt.operation", "attempt.operation.expected", wanted)
    return Attempt(
        id=AttemptId.parse(message.id),
        payment_id=PaymentId.parse(message.payment_id),
        step_id=StepId.parse(message.step_id),
        merchant_id=MerchantId.parse(message.merchant_id),
        processor_id=message.processor_id,
        operation=operation,
        amount=money_from(message.amount),
        instrument=_instrument(message),
        hold=message.processor_reference or None,
        refund_id=RefundId.parse(message.refund_id) if message.refund_id else None,
        return_url=message.return_url or None,
        metadata=dict(message.metadata),
        key_expires_at=optional_moment(message, "key_expires_at"),
        capture_at_once=message.capture_at_once,
    )


def result_message(result: Result) -> result_pb2.Result:
    verdict = result.verdict
    message = result_pb2.Result(
        success=result.success,
        outcome=result_pb2.Outcome.Value(f"OUTCOME_{verdict.outcome.name}"),
        processor_id=result.processor_id,
        latency_ms=min(result.latency_ms, _INT32_MAX),
        retryable=verdict.retryable,
        processor_reference=verdict.reference or "",
        decline_code=verdict.decline_code or "",
        user_message=verdict.error_code.user_message if verdict.error_code else "",
        anomaly=verdict.anomaly or "",
    )
    if verdict.error_code is not None:
        message.error_code = _ERROR_CODES[verdict.error_code]
    if (processed := result.amount_processed) is not None:
        _set_money(message.amount_processed, processed)
    if verdict.captured is not None:
        _set_money(message.amount_captured, verdict.captured)
    if verdict.fee is not None:
        _set_money(message.processor_fee, verdict.fee)
    if verdict.redirect is not None:
        message.next_action.redirect.redirect_url = verdict.redirect.url
        message.next_action.redirect.return_url = verdict.redirect.return_url
    message.raw.update(dict[str, Any](verdict.raw))
    message.observed_at.FromDatetime(result.observed_at)
    return message


def event_message(processor_id: str, event: ProcessorEvent) -> processor_event_pb2.ProcessorEvent:
    message = processor_event_pb2.ProcessorEvent(
        id=event.id,
        processor_id=processor_id,
        type=processor_event_pb2.ProcessorEventType.Value(f"PROCESSOR_EVENT_TYPE_{event.type}"),
        native_type=event.native_type,
        attempt_id=event.attempt_id or "",
        processor_reference=event.hold or "",
        object_id=event.object_id or "",
        native_reason=event.native_reason or "",
        api_version=event.api_version or "",
        raw=event.raw,
    )
    message.occurred_at.FromDatetime(event.occurred_at)
    if event.error_code is not None:
        message.error_code = _ERROR_CODES[event.error_code]
    if event.amount is not None:
        _set_money(message.amount, event.amount)
    if event.fee is not None:
        _set_money(message.fee, event.fee)
    return message


def event_window(request: processor_service_pb2.ListEventsRequest) -> EventWindow:
    return EventWindow(
        optional_moment(request, "occurred_from"), optional_moment(request, "occurred_before")
    )


def method_filter(request: processor_service_pb2.ListProcessorsRequest) -> PaymentMethod | None:
    """The method that is asked for; None for all."""
    if request.method == payment_method_pb2.PAYMENT_METHOD_UNSPECIFIED:
        return None
    return _method(request.method, "method")


def page_after(request: Message, token: str) -> str | None:
    """The id after which the page begins; None for the first page."""
    cursor = decode_page_token(token, filters_of(request), length=1)
    return None if cursor is None else cursor[0]


def next_page_token(request: Message, after: str | None) -> str:
    return "" if after is None else encode_page_token(filters_of(request), (after,))


def profile_message(profile: Profile) -> processor_pb2.Processor:
    message = processor_pb2.Processor(
        id=profile.id,
        adapter=profile.adapter,
        state=_STATES[profile.state],
        live=profile.live,
        methods=[number for number, method in METHODS.items() if method in profile.methods],
        currencies=profile.currencies,
        card_networks=[n for n, network in NETWORKS.items() if network in profile.card_networks],
        countries=profile.countries,
        operations=[n for n, operation in _OPERATIONS.items() if operation in profile.operations],
    )
    message.key_window.FromTimedelta(profile.key_window)
    return message


def _instrument(message: attempt_pb2.Attempt) -> PaymentInstrument | None:
    if not message.HasField("instrument"):
        return None
    instrument = message.instrument
    return PaymentInstrument(
        method=_method(instrument.method, "attempt.instrument.method"),
        token=instrument.token or None,
        network=NETWORKS.get(instrument.network),
    )


def _method(number: payment_method_pb2.PaymentMethod.ValueType, field: str) -> PaymentMethod:
    method = METHODS.get(number)
    if method is None:
        raise invalid_field(field, "method.known", "is no method that this platform knows")
    return method


def _set_money(message: money_pb2.Money, money: Money) -> None:
    message.amount_minor = money.amount_minor
    message.currency = money.currency.code
