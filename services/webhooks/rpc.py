"""WebhookService over gRPC: translate, call the use case, translate back."""

from typing import Any

import grpc
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_service_pb2_grpc import WebhookServiceServicer

from services.kernel.ids import WebhookEventId
from services.kernel.paging import decode_page_token, encode_page_token, page_size
from services.webhooks.service.gaps import Gaps
from services.webhooks.service.inquiry import Inquiry
from services.webhooks.service.receiving import Receiving
from services.webhooks.translate import applying, events, gaps
from services.webhooks.translate.words import optional_text

Context = grpc.aio.ServicerContext[Any, Any]


class WebhookServicer(WebhookServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, receiving: Receiving, inquiry: Inquiry, gaps: Gaps) -> None:
        self._receiving = receiving
        self._inquiry = inquiry
        self._gaps = gaps

    async def ReceiveWebhook(
        self, request: pb.ReceiveWebhookRequest, context: Context
    ) -> pb.ReceiveWebhookResponse:
        stored = await self._receiving.receive(applying.received(request))
        return pb.ReceiveWebhookResponse(webhook_event_id=stored.id, duplicate=stored.duplicate)

    async def GetWebhookEvent(
        self, request: pb.GetWebhookEventRequest, context: Context
    ) -> pb.GetWebhookEventResponse:
        event = await self._inquiry.get(request.webhook_event_id)
        return pb.GetWebhookEventResponse(event=events.event_message(event))

    async def ListWebhookEvents(
        self, request: pb.ListWebhookEventsRequest, context: Context
    ) -> pb.ListWebhookEventsResponse:
        wanted = events.event_filter(request)
        filters = f"ListWebhookEvents {wanted}"
        cursor = decode_page_token(request.page_token, filters, length=1)
        page, last = await self._inquiry.list_page(
            wanted,
            None if cursor is None else WebhookEventId.parse(cursor[0]),
            page_size(request.page_size),
        )
        return pb.ListWebhookEventsResponse(
            events=[events.event_message(event) for event in page],
            next_page_token="" if last is None else encode_page_token(filters, (last,)),
        )

    async def GetWebhookStatus(
        self, request: pb.GetWebhookStatusRequest, context: Context
    ) -> pb.GetWebhookStatusResponse:
        standing = await self._inquiry.standing(optional_text(request, "processor_id"))
        return events.status_response(standing)

    async def ReplayWebhookEvents(
        self, request: pb.ReplayWebhookEventsRequest, context: Context
    ) -> pb.ReplayWebhookEventsResponse:
        selection = events.replay_selection(request)
        count = await self._inquiry.replay(request.idempotency_key, selection)
        return pb.ReplayWebhookEventsResponse(replayed_count=count)

    async def ListMissingEvents(
        self, request: pb.ListMissingEventsRequest, context: Context
    ) -> pb.ListMissingEventsResponse:
        span = gaps.span(request)
        filters = f"ListMissingEvents {span}"
        cursor = decode_page_token(request.page_token, filters, length=4)
        missing, after = await self._gaps.missing(
            span,
            None if cursor is None else gaps.gap_cursor(cursor),
            page_size(request.page_size),
        )
        token = "" if after is None else encode_page_token(filters, gaps.gap_cursor_parts(after))
        return pb.ListMissingEventsResponse(
            events=[gaps.missing_message(event) for event in missing], next_page_token=token
        )

    async def BackfillEvents(
        self, request: pb.BackfillEventsRequest, context: Context
    ) -> pb.BackfillEventsResponse:
        count = await self._gaps.backfill(request.idempotency_key, gaps.span(request))
        return pb.BackfillEventsResponse(stored_count=count)
