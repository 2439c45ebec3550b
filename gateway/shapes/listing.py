"""Pages: a part of a list, and how to ask for the rest."""

from typing import Literal

from payments.orchestrator.v1.orchestrator_service_pb2 import ListPaymentsResponse
from typing_extensions import TypedDict

from gateway.shapes.payment import Payment, payment_shape
from gateway.shapes.words import known


class PaymentList(TypedDict):
    """A page of payments, newest first; `next_cursor` is null on the last."""

    object: Literal["list"]
    data: list[Payment]
    has_more: bool
    next_cursor: str | None


def payment_list_shape(message: ListPaymentsResponse) -> PaymentList:
    return {
        "object": "list",
        "data": [payment_shape(payment) for payment in message.payments],
        "has_more": bool(message.next_page_token),
        "next_cursor": known(message.next_page_token),
    }
