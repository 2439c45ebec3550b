"""OrchestratorService over gRPC: translate, call the use case, translate back."""

from typing import Any

import grpc
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceServicer

from services.kernel.ids import PaymentId
from services.kernel.paging import page_size
from services.orchestrator.service.orchestrator import Orchestrator, ResponseMode
from services.orchestrator.translate import calls
from services.orchestrator.translate.payment import payment_message

Context = grpc.aio.ServicerContext[Any, Any]


class OrchestratorServicer(OrchestratorServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def ExecutePlan(
        self, request: pb.ExecutePlanRequest, context: Context
    ) -> pb.ExecutePlanResponse:
        core_request, plan = calls.order_from_request(request)
        is_async = request.response_mode == pb.RESPONSE_MODE_ASYNC
        mode = ResponseMode.ASYNC if is_async else ResponseMode.WAIT
        answer = await self._orchestrator.execute_plan(core_request, plan, mode)
        return calls.execute_plan_response(answer)

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
