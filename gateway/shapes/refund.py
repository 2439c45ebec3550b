"""Refund: what merchants are shown of one."""

from collections.abc import Sequence
from typing import Literal

from payments.orchestrator.v1.refund_pb2 import Refund as RefundMessage
from typing_extensions import TypedDict

from gateway.shapes.payment import ValidationIssue, issue_shape
from gateway.shapes.words import REFUND_STATES, known, moment
from services.kernel.context import ValidationIssue as ReadIssue


class Refund(TypedDict):
    """What is returned of a payment."""

    object: Literal["refund"]
    id: str
    payment_id: str
    amount: int
    currency: str
    status: Literal["pending", "succeeded", "failed"]
    platform_fee_returned: int
    reason: str | None
    idempotency_key: str
    validation_issues: list[ValidationIssue]
    created_at: str


def refund_shape(message: RefundMessage, issues: Sequence[ReadIssue]) -> Refund:
    """A refund, with the issues of the call that asks for it."""
    return {
        "object": "refund",
        "id": message.id,
        "payment_id": message.payment_id,
        "amount": message.amount.amount_minor,
        "currency": message.amount.currency,
        "status": REFUND_STATES[message.state],
        "platform_fee_returned": message.platform_fee_returned.amount_minor,
        "reason": known(message.reason),
        "idempotency_key": message.idempotency_key,
        "validation_issues": [issue_shape(issue) for issue in issues],
        "created_at": moment(message.created_at),
    }
