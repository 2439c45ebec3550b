"""The bytes that the store keeps and publishes, made of the contracts that it does not know."""

from payments.core.v1.core_request_context_pb2 import CoreRequestContext as RequestMessage
from payments.orchestrator.v1.orchestrator_service_pb2 import RefundPaymentResponse
from payments.plan.v1.payment_plan_pb2 import PaymentPlan

from services.kernel.context import CoreRequestContext
from services.kernel.events import SequencedEvent
from services.orchestrator.domain.command import Call
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.translate.events import event_payload
from services.orchestrator.translate.payment import payment_message
from services.orchestrator.translate.plan import plan_from_message
from services.orchestrator.translate.refund import refund_message
from services.orchestrator.translate.request import request_from_message, request_message


class PaymentCodec:
    """Requests and plans both ways, events on their way out."""

    def request(self, request: CoreRequestContext) -> bytes:
        return request_message(request).SerializeToString()

    def read_request(self, body: bytes) -> CoreRequestContext:
        return request_from_message(RequestMessage.FromString(body))

    def read_plan(self, body: bytes) -> Plan:
        return plan_from_message(PaymentPlan.FromString(body))

    def event(self, payment: Payment, told: SequencedEvent, traceparent: str | None) -> bytes:
        return event_payload(payment, told, traceparent)


def describe(payment: Payment, call: Call) -> bytes:
    """A payment as one who called is told of it, to be stored as their answer."""
    if call.refund_id is None:
        return payment_message(payment).SerializeToString()
    refund = next(each for each in payment.refunds if each.id == call.refund_id)
    return RefundPaymentResponse(
        payment=payment_message(payment),
        refund=refund_message(refund, payment.id, payment.merchant_id),
    ).SerializeToString()
