"""OrchestratorService over gRPC: translate, call the use case, translate back."""

from typing import Any, Final

import grpc
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceServicer

from services.kernel.ids import PaymentId, RequestId
from services.kernel.paging import page_size
from services.orchestrator.service.orchestrator import Orchestrator
from services.orchestrator.translate import calls
from services.orchestrator.translate.payment import payment_message
from services.runtime.telemetry import bound

_REQUEST_ID: Final = "request_id"

Context = grpc.aio.ServicerContext[Any, Any]


class OrchestratorServicer(OrchestratorServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def CreatePayment(
        self, request: pb.CreatePaymentRequest, context: Context
    ) -> pb.CreatePaymentResponse:
        answer = await self._orchestrator.create(calls.payment_from_request(request))
        return calls.answer_into(answer, pb.CreatePaymentResponse())

    async def ConfirmPayment(
        self, request: pb.ConfirmPaymentRequest, context: Context
    ) -> pb.ConfirmPaymentResponse:
        answer = await self._orchestrator.confirm(
            calls.order_about(request, _request_id()),
            calls.wanted_instrument(request),
            request.return_url or None,
            calls.mode_from(request.response_mode),
        )
        return calls.answer_into(answer, pb.ConfirmPaymentResponse())

    async def ExecutePlan(
        self, request: pb.ExecutePlanRequest, context: Context
    ) -> pb.ExecutePlanResponse:
        core_request, plan = calls.order_from_request(request)
        mode = calls.mode_from(request.response_mode)
        answer = await self._orchestrator.execute_plan(core_request, plan, mode)
        return calls.answer_into(answer, pb.ExecutePlanResponse())

    async def CapturePayment(
        self, request: pb.CapturePaymentRequest, context: Context
    ) -> pb.CapturePaymentResponse:
        answer = await self._orchestrator.capture(
            calls.order_about(request, _request_id()), calls.wanted_amount(request)
        )
        return calls.answer_into(answer, pb.CapturePaymentResponse())

    async def VoidPayment(
        self, request: pb.VoidPaymentRequest, context: Context
    ) -> pb.VoidPaymentResponse:
        answer = await self._orchestrator.void(
            calls.order_about(request, _request_id()), request.reason
        )
        return calls.answer_into(answer, pb.VoidPaymentResponse())

    async def RefundPayment(
        self, request: pb.RefundPaymentRequest, context: Context
    ) -> pb.RefundPaymentResponse:
        answer = await self._orchestrator.refund(
            calls.order_about(request, _request_id()), calls.wanted_amount(request), request.reason
        )
        return calls.refund_response(answer)

    async def ResolvePayment(
        self, request: pb.ResolvePaymentRequest, context: Context
    ) -> pb.ResolvePaymentResponse:
        answer = await self._orchestrator.resolve(
            calls.order_about(request, _request_id()), *calls.evidence_from(request)
        )
        return calls.answer_into(answer, pb.ResolvePaymentResponse())

    async def GetPayment(
        self, request: pb.GetPaymentRequest, context: Context
    ) -> pb.GetPaymentResponse:
        payment = await self._orchestrator.get(
            PaymentId.parse(request.payment_id), calls.merchant_or_operator(request.merchant_id)
        )
        return pb.GetPaymentResponse(payment=payment_message(payment))

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Context
    ) -> pb.ListPaymentsResponse:
        payments, after = await self._orchestrator.list_payments(
            calls.payment_filter(request),
            calls.payments_after(request),
            page_size(request.page_size),
        )
        return pb.ListPaymentsResponse(
            payments=[payment_message(payment) for payment in payments],
            next_page_token=calls.payments_token(request, after),
        )


def _request_id() -> RequestId:
    """The id of the call that is being answered, as everything below it names it."""
    return RequestId.parse(bound()[_REQUEST_ID])
