"""What a processor lists, and what of it was never told."""

from datetime import UTC, datetime

from payments.processor.v1 import processor_service_pb2
from payments.webhooks.v1 import webhook_gap_pb2
from payments.webhooks.v1 import webhook_service_pb2 as pb

from services.runtime.wire.moments import optional_moment, timestamp
from services.webhooks.domain.gap import (
    GapCursor,
    ListedEvent,
    ListPage,
    MissingEvent,
    Span,
    Window,
)
from services.webhooks.translate.words import optional_text


def list_request(
    processor_id: str, window: Window, token: str, size: int
) -> processor_service_pb2.ListEventsRequest:
    return processor_service_pb2.ListEventsRequest(
        processor_id=processor_id,
        occurred_from=timestamp(window.occurred_from),
        occurred_before=timestamp(window.occurred_before),
        page_size=size,
        page_token=token,
    )


def list_page(response: processor_service_pb2.ListEventsResponse) -> ListPage:
    events = [
        ListedEvent(
            processor_id=event.processor_id,
            event_id=event.id,
            event_type=event.native_type,
            occurred_at=event.occurred_at.ToDatetime(UTC),
            body=event.raw,
        )
        for event in response.events
    ]
    return ListPage(events, response.next_page_token)


def span(request: pb.ListMissingEventsRequest | pb.BackfillEventsRequest) -> Span:
    return Span(
        processor_id=optional_text(request, "processor_id"),
        occurred_from=optional_moment(request, "occurred_from"),
        occurred_before=optional_moment(request, "occurred_before"),
    )


def gap_cursor(parts: tuple[str, ...]) -> GapCursor:
    occurred_from, occurred_before, processor_id, token = parts
    before = datetime.fromisoformat(occurred_before) if occurred_before else None
    return GapCursor(Window(datetime.fromisoformat(occurred_from), before), processor_id, token)


def gap_cursor_parts(cursor: GapCursor) -> tuple[str, ...]:
    before = cursor.window.occurred_before
    return (
        cursor.window.occurred_from.isoformat(),
        before.isoformat() if before else "",
        cursor.processor_id,
        cursor.token,
    )


def missing_message(event: ListedEvent | MissingEvent) -> webhook_gap_pb2.MissingEvent:
    return webhook_gap_pb2.MissingEvent(
        processor_id=event.processor_id,
        processor_event_id=event.event_id,
        event_type=event.event_type,
        occurred_at=timestamp(event.occurred_at),
    )
