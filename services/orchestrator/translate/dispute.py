"""Disputes as callers are told of them."""

from payments.orchestrator.v1 import dispute_pb2

from services.kernel.ids import MerchantId, PaymentId
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.translate.words import DISPUTE_STATE_NUMBERS, money_message


def dispute_message(
    dispute: Dispute, payment_id: PaymentId, merchant_id: MerchantId
) -> dispute_pb2.Dispute:
    message = dispute_pb2.Dispute(
        id=dispute.id,
        payment_id=payment_id,
        merchant_id=merchant_id,
        state=DISPUTE_STATE_NUMBERS[dispute.state],
        amount=money_message(dispute.amount),
        amount_excess=money_message(dispute.excess),
        fee=money_message(dispute.fee),
        # What was withdrawn stays so until it is given back.
        funds_withdrawn=dispute.funds_withdrawn and not dispute.funds_reinstated,
        reason=dispute.reason,
        processor_id=dispute.processor_id,
        processor_reference=dispute.processor_reference,
    )
    message.opened_at.FromDatetime(dispute.opened_at)
    if dispute.closed_at is not None:
        message.closed_at.FromDatetime(dispute.closed_at)
    return message
