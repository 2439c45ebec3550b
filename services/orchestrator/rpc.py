"""OrchestratorService over gRPC: translate, call the use case, translate back."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import grpc
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceServicer

from services.kernel.context import CoreRequestContext
from services.kernel.ids import (
    DisputeId,
    MerchantId,
    PaymentId,
    PostingId,
    RefundId,
    RequestId,
)
from services.kernel.paging import page_size
from services.orchestrator.service.hearing import ProcessorDoor
from services.orchestrator.service.orchestrator import Orchestrator
from services.orchestrator.service.posting import Poster
from services.orchestrator.service.reading import Reading
from services.orchestrator.translate import calls, listing
from services.orchestrator.translate.dispute import dispute_message
from services.orchestrator.translate.idempotency import (
    check_key,
    key_message,
    wanted_fingerprint,
)
from services.orchestrator.translate.listing import merchant_or_operator
from services.orchestrator.translate.payment import payment_message
from services.orchestrator.translate.posting import posting_message, retry_from_request
from services.orchestrator.translate.processor_event import processor_event_from, told_message
from services.orchestrator.translate.refund import refund_message
from services.orchestrator.translate.story import recorded_request_message, story_message
from services.runtime.telemetry import bound, recorded_traceparent

_REQUEST_ID: Final = "request_id"

Context = grpc.aio.ServicerContext[Any, Any]


class OrchestratorServicer(OrchestratorServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(
        self, orchestrator: Orchestrator, reading: Reading, door: ProcessorDoor, poster: Poster
    ) -> None:
        self._orchestrator = orchestrator
        self._reading = reading
        self._door = door
        self._poster = poster

    async def CreatePayment(
        self, request: pb.CreatePaymentRequest, context: Context
    ) -> pb.CreatePaymentResponse:
        answer = await self._orchestrator.create(_traced(calls.payment_from_request(request)))
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
        if not request.HasField("plan"):
            answer = await self._orchestrator.repeat(calls.repeat_from_request(request))
            return calls.answer_into(answer, pb.ExecutePlanResponse())
        core_request, plan = calls.order_from_request(request)
        mode = calls.mode_from(request.response_mode)
        answer = await self._orchestrator.execute_plan(_traced(core_request), plan, mode)
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
            calls.order_about(request, _request_id()), calls.told_reason(request)
        )
        return calls.answer_into(answer, pb.VoidPaymentResponse())

    async def RefundPayment(
        self, request: pb.RefundPaymentRequest, context: Context
    ) -> pb.RefundPaymentResponse:
        answer = await self._orchestrator.refund(
            calls.order_about(request, _request_id()),
            calls.wanted_amount(request),
            calls.told_reason(request),
        )
        return calls.refund_response(answer)

    async def ApplyProcessorEvent(
        self, request: pb.ApplyProcessorEventRequest, context: Context
    ) -> pb.ApplyProcessorEventResponse:
        return told_message(await self._door.apply(processor_event_from(request)))

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
            PaymentId.parse(request.payment_id), merchant_or_operator(request.merchant_id)
        )
        return pb.GetPaymentResponse(payment=payment_message(payment))

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Context
    ) -> pb.ListPaymentsResponse:
        payments, last = await self._orchestrator.list_payments(
            listing.payment_filter(request),
            listing.page_after(request.page_token, request, PaymentId),
            page_size(request.page_size),
        )
        return pb.ListPaymentsResponse(
            payments=[payment_message(payment) for payment in payments],
            next_page_token=listing.next_page_token(request, last),
        )

    async def WatchPayment(
        self, request: pb.WatchPaymentRequest, context: Context
    ) -> AsyncIterator[pb.WatchPaymentResponse]:
        payments = self._reading.watch(
            PaymentId.parse(request.payment_id),
            merchant_or_operator(request.merchant_id),
            listing.version_seen(request),
        )
        async with aclosing(payments):
            async for payment in payments:
                yield pb.WatchPaymentResponse(payment=payment_message(payment))

    async def ExplainPayment(
        self, request: pb.ExplainPaymentRequest, context: Context
    ) -> pb.ExplainPaymentResponse:
        story, books = await self._reading.story(
            PaymentId.parse(request.payment_id), merchant_or_operator(request.merchant_id)
        )
        return pb.ExplainPaymentResponse(story=story_message(story, books))

    async def GetRefund(
        self, request: pb.GetRefundRequest, context: Context
    ) -> pb.GetRefundResponse:
        found = await self._reading.refund(
            RefundId.parse(request.refund_id), merchant_or_operator(request.merchant_id)
        )
        return pb.GetRefundResponse(
            refund=refund_message(found.part, found.payment_id, found.merchant_id)
        )

    async def ListRefunds(
        self, request: pb.ListRefundsRequest, context: Context
    ) -> pb.ListRefundsResponse:
        refunds, last = await self._reading.refunds(
            listing.refund_filter(request),
            listing.page_after(request.page_token, request, RefundId),
            page_size(request.page_size),
        )
        return pb.ListRefundsResponse(
            refunds=[
                refund_message(each.part, each.payment_id, each.merchant_id) for each in refunds
            ],
            next_page_token=listing.next_page_token(request, last),
        )

    async def GetDispute(
        self, request: pb.GetDisputeRequest, context: Context
    ) -> pb.GetDisputeResponse:
        found = await self._reading.dispute(
            DisputeId.parse(request.dispute_id), merchant_or_operator(request.merchant_id)
        )
        return pb.GetDisputeResponse(
            dispute=dispute_message(found.part, found.payment_id, found.merchant_id)
        )

    async def ListDisputes(
        self, request: pb.ListDisputesRequest, context: Context
    ) -> pb.ListDisputesResponse:
        disputes, last = await self._reading.disputes(
            listing.dispute_filter(request),
            listing.page_after(request.page_token, request, DisputeId),
            page_size(request.page_size),
        )
        return pb.ListDisputesResponse(
            disputes=[
                dispute_message(each.part, each.payment_id, each.merchant_id) for each in disputes
            ],
            next_page_token=listing.next_page_token(request, last),
        )

    async def ListPostings(
        self, request: pb.ListPostingsRequest, context: Context
    ) -> pb.ListPostingsResponse:
        postings, last = await self._reading.postings(
            listing.posting_filter(request),
            listing.page_after(request.page_token, request, PostingId),
            page_size(request.page_size),
        )
        return pb.ListPostingsResponse(
            postings=[
                posting_message(each.part, each.payment_id, each.merchant_id) for each in postings
            ],
            next_page_token=listing.next_page_token(request, last),
        )

    async def RetryPostings(
        self, request: pb.RetryPostingsRequest, context: Context
    ) -> pb.RetryPostingsResponse:
        count = await self._poster.retry(retry_from_request(request))
        return pb.RetryPostingsResponse(retried_count=count)

    async def ListRecordedRequests(
        self, request: pb.ListRecordedRequestsRequest, context: Context
    ) -> pb.ListRecordedRequestsResponse:
        requests, last = await self._reading.requests(
            listing.request_filter(request),
            listing.page_after(request.page_token, request, PaymentId),
            page_size(request.page_size),
        )
        return pb.ListRecordedRequestsResponse(
            requests=[recorded_request_message(each) for each in requests],
            next_page_token=listing.next_page_token(request, last),
        )

    async def GetIdempotency(
        self, request: pb.GetIdempotencyRequest, context: Context
    ) -> pb.GetIdempotencyResponse:
        standing = await self._reading.key(
            MerchantId.parse(request.merchant_id),
            check_key(request.idempotency_key),
            wanted_fingerprint(request),
        )
        return pb.GetIdempotencyResponse(record=key_message(request.idempotency_key, standing))


def _traced(request: CoreRequestContext) -> CoreRequestContext:
    """The request with the trace of this call, whatever its sender has said of that."""
    traceparent = recorded_traceparent()
    if traceparent == request.traceparent:
        return request
    return replace(request, traceparent=traceparent)


def _request_id() -> RequestId:
    """The id of the call that is being answered, as everything below it names it."""
    return RequestId.parse(bound()[_REQUEST_ID])
