"""ProcessorService over gRPC: translate, call the use case, translate back."""

from typing import Any, Final

import grpc
from payments.processor.v1 import processor_service_pb2 as pb
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceServicer
from payments.result.v1 import result_pb2

from services.kernel.paging import page_size
from services.processor import translate
from services.processor.domain.attempt import Operation
from services.processor.service.processors import Processors

Context = grpc.aio.ServicerContext[Any, Any]

# What is kept back of a caller's deadline, so that UNKNOWN is told as a Result and in time.
_MARGIN_SECONDS: Final = 0.25


class ProcessorServicer(ProcessorServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, processors: Processors) -> None:
        self._processors = processors

    async def Authorize(
        self, request: pb.AuthorizeRequest, context: Context
    ) -> pb.AuthorizeResponse:
        result = await self._execute(request, Operation.AUTHORIZE, context)
        return pb.AuthorizeResponse(result=result)

    async def Capture(self, request: pb.CaptureRequest, context: Context) -> pb.CaptureResponse:
        return pb.CaptureResponse(result=await self._execute(request, Operation.CAPTURE, context))

    async def Void(self, request: pb.VoidRequest, context: Context) -> pb.VoidResponse:
        return pb.VoidResponse(result=await self._execute(request, Operation.VOID, context))

    async def Refund(self, request: pb.RefundRequest, context: Context) -> pb.RefundResponse:
        return pb.RefundResponse(result=await self._execute(request, Operation.REFUND, context))

    async def Lookup(self, request: pb.LookupRequest, context: Context) -> pb.LookupResponse:
        result = await self._processors.lookup(
            translate.attempt_from_message(request.attempt),
            request.idempotency_key,
            timeout_seconds=_time_left(context),
        )
        return pb.LookupResponse(result=translate.result_message(result))

    async def NormalizeEvent(
        self, request: pb.NormalizeEventRequest, context: Context
    ) -> pb.NormalizeEventResponse:
        event = self._processors.read_event(request.processor_id, request.body)
        return pb.NormalizeEventResponse(event=translate.event_message(request.processor_id, event))

    async def ListEvents(
        self, request: pb.ListEventsRequest, context: Context
    ) -> pb.ListEventsResponse:
        page = await self._processors.list_events(
            request.processor_id,
            translate.event_window(request),
            translate.page_after(request, request.page_token),
            page_size(request.page_size),
            timeout_seconds=_time_left(context),
        )
        return pb.ListEventsResponse(
            events=[translate.event_message(request.processor_id, found) for found in page.events],
            next_page_token=translate.next_page_token(request, page.next_after),
        )

    async def ListProcessors(
        self, request: pb.ListProcessorsRequest, context: Context
    ) -> pb.ListProcessorsResponse:
        profiles, after = self._processors.list_processors(
            translate.method_filter(request),
            translate.page_after(request, request.page_token),
            page_size(request.page_size),
        )
        return pb.ListProcessorsResponse(
            processors=[translate.profile_message(profile) for profile in profiles],
            next_page_token=translate.next_page_token(request, after),
        )

    async def _execute(
        self,
        request: pb.AuthorizeRequest | pb.CaptureRequest | pb.VoidRequest | pb.RefundRequest,
        operation: Operation,
        context: Context,
    ) -> result_pb2.Result:
        result = await self._processors.execute(
            translate.attempt_from_message(request.attempt, operation),
            request.idempotency_key,
            timeout_seconds=_time_left(context),
        )
        return translate.result_message(result)


def _time_left(context: Context) -> float:
    # The middleware refuses calls that have no deadline.
    remaining_seconds: float = context.time_remaining()
    return max(remaining_seconds - _MARGIN_SECONDS, remaining_seconds / 2)
