"""What callers of the orchestrator ask it to do, and what they are answered."""

from typing import TypeAlias, TypeVar

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb

from services.kernel.context import CoreRequestContext, PaymentInstrument
from services.kernel.errors import Reason
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RequestId
from services.kernel.money import Money
from services.orchestrator.domain.attempt import Evidence
from services.orchestrator.domain.command import Answer, Order, ResponseMode
from services.orchestrator.domain.plan import Plan
from services.orchestrator.translate.idempotency import check_key
from services.orchestrator.translate.plan import plan_from_message
from services.orchestrator.translate.request import request_from_message
from services.orchestrator.translate.words import (
    OUTCOMES,
    instrument_from,
    invalid,
    money_from,
    plain_text,
    word,
)

_OrderRequest: TypeAlias = (
    pb.ConfirmPaymentRequest
    | pb.CapturePaymentRequest
    | pb.VoidPaymentRequest
    | pb.RefundPaymentRequest
    | pb.ResolvePaymentRequest
)
_Answered = TypeVar(
    "_Answered",
    pb.CreatePaymentResponse,
    pb.ConfirmPaymentResponse,
    pb.ExecutePlanResponse,
    pb.CapturePaymentResponse,
    pb.VoidPaymentResponse,
    pb.ResolvePaymentResponse,
)


def order_from_request(request: pb.ExecutePlanRequest) -> tuple[CoreRequestContext, Plan]:
    """The request and its plan; the key stands in both places, and says the same."""
    _check_key(request.idempotency_key, request.context.idempotency_key)
    return request_from_message(request.context), plan_from_message(request.plan)


def repeat_from_request(request: pb.ExecutePlanRequest) -> CoreRequestContext:
    """The request alone, which is all that a repeat needs."""
    _check_key(request.idempotency_key, request.context.idempotency_key)
    return request_from_message(request.context)


def payment_from_request(request: pb.CreatePaymentRequest) -> CoreRequestContext:
    """The request; the key stands in both places, and says the same."""
    _check_key(request.idempotency_key, request.context.idempotency_key)
    return request_from_message(request.context)


def mode_from(mode: pb.ResponseMode.ValueType) -> ResponseMode:
    return ResponseMode.ASYNC if mode == pb.RESPONSE_MODE_ASYNC else ResponseMode.WAIT


def order_about(request: _OrderRequest, request_id: RequestId) -> Order:
    """What every order about a payment that stands says."""
    return Order(
        merchant_id=MerchantId.parse(request.merchant_id),
        idempotency_key=check_key(request.idempotency_key),
        request_id=request_id,
        payment_id=PaymentId.parse(request.payment_id),
        expected_version=request.expected_version,
    )


def wanted_amount(request: pb.CapturePaymentRequest | pb.RefundPaymentRequest) -> Money | None:
    """The amount; None for all there is."""
    return money_from(request.amount) if request.HasField("amount") else None


def wanted_instrument(request: pb.ConfirmPaymentRequest) -> PaymentInstrument | None:
    if not request.HasField("instrument"):
        return None
    return instrument_from("instrument", request.instrument)


def told_reason(request: pb.VoidPaymentRequest | pb.RefundPaymentRequest) -> str:
    """Why, as the merchant says."""
    return plain_text("reason", request.reason)


def evidence_from(request: pb.ResolvePaymentRequest) -> tuple[AttemptId | None, Evidence]:
    """What an operator has found out, and about which attempt."""
    told = request.evidence
    evidence = Evidence(
        outcome=word("evidence.outcome", told.outcome, OUTCOMES),
        reference=plain_text("evidence.processor_reference", told.processor_reference) or None,
        source=plain_text("evidence.source", told.source),
        operator=plain_text("evidence.operator", told.operator),
    )
    attempt_id = AttemptId.parse(request.attempt_id) if request.attempt_id else None
    return attempt_id, evidence


def answer_into(answer: Answer, response: _Answered) -> _Answered:
    """Fill a response with the payment as the caller is told of it."""
    response.payment.MergeFromString(answer.body)
    response.replayed = answer.replayed
    response.request_id = answer.request_id
    return response


def refund_response(answer: Answer) -> pb.RefundPaymentResponse:
    """The refund and its payment, as they were kept for the caller."""
    response = pb.RefundPaymentResponse.FromString(answer.body)
    response.replayed = answer.replayed
    response.request_id = answer.request_id
    return response


def _check_key(key: str, key_in_context: str) -> None:
    if check_key(key) != key_in_context:
        raise invalid(
            "context.idempotency_key",
            "idempotency_key.same",
            "must equal the key of the call",
            reason=Reason.IDEMPOTENCY_KEY_MISMATCH,
        )
