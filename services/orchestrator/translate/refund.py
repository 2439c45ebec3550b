"""Refunds as callers are told of them."""

from payments.orchestrator.v1 import refund_pb2

from services.kernel.ids import MerchantId, PaymentId
from services.orchestrator.domain.refund import Refund, RefundPart
from services.orchestrator.translate.words import (
    ERROR_CODE_NUMBERS,
    REFUND_STATE_NUMBERS,
    money_message,
)


def refund_message(
    refund: Refund, payment_id: PaymentId, merchant_id: MerchantId
) -> refund_pb2.Refund:
    message = refund_pb2.Refund(
        id=refund.id,
        payment_id=payment_id,
        merchant_id=merchant_id,
        state=REFUND_STATE_NUMBERS[refund.state],
        amount=money_message(refund.amount),
        platform_fee_returned=money_message(refund.fee_returned),
        reason=refund.reason,
        parts=[_part_message(part) for part in refund.parts],
        idempotency_key=refund.idempotency_key,
    )
    message.created_at.FromDatetime(refund.created_at)
    message.updated_at.FromDatetime(refund.updated_at)
    return message


def _part_message(part: RefundPart) -> refund_pb2.RefundPart:
    message = refund_pb2.RefundPart(
        id=part.id,
        step_id=part.step_id,
        state=REFUND_STATE_NUMBERS[part.state],
        amount=money_message(part.amount),
        processor_id=part.processor_id,
        processor_reference=part.processor_reference or "",
    )
    if part.error_code is not None:
        message.error_code = ERROR_CODE_NUMBERS[part.error_code]
    return message
