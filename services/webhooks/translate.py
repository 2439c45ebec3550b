"""Messages to deliveries, events and gaps, and back."""

import re
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1 import error_reason_pb2, failure_pb2
from payments.events.v1 import command_pb2, dead_letter_pb2
from payments.events.v1.envelope_pb2 import Envelope
from payments.orchestrator.v1 import orchestrator_service_pb2, payment_story_pb2
from payments.processor.v1 import processor_event_pb2, processor_service_pb2
from payments.webhooks.v1 import webhook_event_pb2, webhook_gap_pb2
from payments.webhooks.v1 import webhook_service_pb2 as pb

from services.kernel.errors import FieldViolation, InvalidArgument, Reason
from services.kernel.ids import EventId, PaymentId, WebhookEventId
from services.webhooks.domain.delivery import Received
from services.webhooks.domain.event import (
    Disposition,
    EventFilter,
    Failure,
    ReplaySelection,
    Standing,
    State,
    Told,
    WebhookEvent,
)
from services.webhooks.domain.gap import (
    GapCursor,
    ListedEvent,
    ListPage,
    MissingEvent,
    Span,
    Window,
)

_SCHEMA_VERSION: Final = 1
_IDS_MAX: Final = 1_000
# A message of 4 MiB has to hold the body and what it says.
_SHOWN_TWICE_BYTES_MAX: Final = 1024 * 1024
_REASON: Final = re.compile(r"\[([A-Z_]+)\]")

_STATES: Final = {
    state: webhook_event_pb2.WebhookEventState.Value(f"WEBHOOK_EVENT_STATE_{state.name}")
    for state in State
}
_STATE_OF: Final[dict[int, State]] = {number: state for state, number in _STATES.items()}
_DISPOSITION_OF: Final[dict[int, Disposition]] = {
    payment_story_pb2.EventDisposition.Value(f"EVENT_DISPOSITION_{each.name}"): each
    for each in Disposition
}


class CommandGiven(Protocol):
    """What a command to apply an event says."""

    @property
    def id(self) -> EventId: ...

    @property
    def number(self) -> int: ...

    @property
    def webhook_event_id(self) -> WebhookEventId: ...

    @property
    def processor_id(self) -> str: ...

    @property
    def event_id(self) -> str: ...

    @property
    def event_type(self) -> str: ...

    @property
    def given_at(self) -> datetime: ...


def command_payload(command: CommandGiven) -> bytes:
    """The command to apply an event, in the envelope that every consumer reads."""
    envelope = Envelope(
        id=command.id,
        type="WebhookEventReceived",
        schema_version=_SCHEMA_VERSION,
        sequence=command.number,
        webhook_event_received=command_pb2.WebhookEventReceived(
            webhook_event_id=command.webhook_event_id,
            processor_id=command.processor_id,
            processor_event_id=command.event_id,
            native_type=command.event_type,
        ),
    )
    envelope.occurred_at.FromDatetime(command.given_at)
    return envelope.SerializeToString()


def failure_from_letter(letter: dead_letter_pb2.DeadLetter) -> Failure:
    """Why a command was given up, from its dead letter."""
    # An error of ours says its reason last, in brackets.
    named = [word for word in _REASON.findall(letter.error) if word in Reason.__members__]
    reason = Reason(named[-1]) if named else Reason.INTERNAL
    return Failure(reason, letter.error, letter.attempt_count, letter.id)


def received(request: pb.ReceiveWebhookRequest) -> Received:
    return Received(
        adapter=request.adapter,
        body=request.body,
        signature_header=request.signature_header,
        received_at=_moment(request, "received_at"),
    )


def apply_request(
    event: processor_event_pb2.ProcessorEvent, webhook_event_id: WebhookEventId
) -> orchestrator_service_pb2.ApplyProcessorEventRequest:
    """The normalised event, without the body that it was read from."""
    event.ClearField("raw")
    return orchestrator_service_pb2.ApplyProcessorEventRequest(
        idempotency_key=webhook_event_id, event=event, webhook_event_id=webhook_event_id
    )


def told(response: orchestrator_service_pb2.ApplyProcessorEventResponse) -> Told:
    return Told(
        # What a later orchestrator answers and we do not know is at least no refusal.
        disposition=_DISPOSITION_OF.get(response.disposition, Disposition.KNOWN),
        payment_id=PaymentId.parse(response.payment_id) if response.payment_id else None,
        merchant_id=response.merchant_id,
        message=response.message,
    )


def list_request(
    processor_id: str, window: Window, token: str, size: int
) -> processor_service_pb2.ListEventsRequest:
    return processor_service_pb2.ListEventsRequest(
        processor_id=processor_id,
        occurred_from=_timestamp(window.occurred_from),
        occurred_before=_timestamp(window.occurred_before),
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


def event_filter(request: pb.ListWebhookEventsRequest) -> EventFilter:
    states = tuple(_STATE_OF[number] for number in request.states if number in _STATE_OF)
    if len(states) != len(request.states):
        raise _refusal("states", "webhook.states", "names a state that there is not")
    return EventFilter(
        states=states or None,
        event_type=optional_text(request, "event_type"),
        processor_id=optional_text(request, "processor_id"),
        payment_id=PaymentId.parse(request.payment_id) if request.payment_id else None,
        created_from=_moment(request, "created_from"),
        created_before=_moment(request, "created_before"),
    )


def replay_selection(request: pb.ReplayWebhookEventsRequest) -> ReplaySelection:
    match request.WhichOneof("selection"):
        case "ids":
            ids = request.ids.webhook_event_ids
            if not 1 <= len(ids) <= _IDS_MAX:
                raise _refusal("ids", "replay.ids.count", f"names 1 to {_IDS_MAX} webhook events")
            chosen = tuple(sorted({WebhookEventId.parse(text) for text in ids}))
            return ReplaySelection(ids=chosen, failed_only=request.failed_only)
        case "range":
            return ReplaySelection(
                created_from=_moment(request.range, "created_from"),
                created_before=_moment(request.range, "created_before"),
                failed_only=request.failed_only,
            )
        case _:
            raise _refusal("selection", "replay.selection", "says which events are meant")


def span(request: pb.ListMissingEventsRequest | pb.BackfillEventsRequest) -> Span:
    return Span(
        processor_id=optional_text(request, "processor_id"),
        occurred_from=_moment(request, "occurred_from"),
        occurred_before=_moment(request, "occurred_before"),
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


def event_message(event: WebhookEvent) -> webhook_event_pb2.WebhookEvent:
    message = webhook_event_pb2.WebhookEvent(
        id=event.id,
        processor_id=event.processor_id,
        processor_event_id=event.event_id,
        event_type=event.event_type,
        raw_body=event.body,
        signature_verified=event.signature_verified,
        state=_STATES[event.state],
        payment_id=event.payment_id or "",
        attempt_count=event.attempts,
        occurred_at=_timestamp(event.occurred_at),
        created_at=_timestamp(event.created_at),
        processed_at=_timestamp(event.processed_at),
    )
    if event.payload is not None and len(event.body) <= _SHOWN_TWICE_BYTES_MAX:
        message.payload.CopyFrom(_struct(event.payload))
    if event.failure is not None:
        message.last_failure.CopyFrom(_failure(*event.failure))
    return message


def missing_message(event: ListedEvent | MissingEvent) -> webhook_gap_pb2.MissingEvent:
    return webhook_gap_pb2.MissingEvent(
        processor_id=event.processor_id,
        processor_event_id=event.event_id,
        event_type=event.event_type,
        occurred_at=_timestamp(event.occurred_at),
    )


def status_response(standing: Standing) -> pb.GetWebhookStatusResponse:
    age = None
    if standing.oldest_pending_age is not None:
        age = Duration()
        age.FromTimedelta(standing.oldest_pending_age)
    missing = standing.oldest_missing
    return pb.GetWebhookStatusResponse(
        counts=[
            pb.WebhookStateCount(state=number, count=standing.counts.get(state, 0))
            for state, number in _STATES.items()
        ],
        oldest_pending_age=age,
        oldest_missing=None if missing is None else missing_message(missing),
        compared_through=_timestamp(standing.compared_through),
    )


def _failure(reason: Reason, message: str) -> failure_pb2.Failure:
    return failure_pb2.Failure(
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}"), message=message
    )


def _struct(payload: dict[str, Any]) -> Struct:
    """The body as a message holds it; empty where it cannot, for the body itself is beside it."""
    try:
        return ParseDict(payload, Struct())
    except (ParseError, ValueError, OverflowError, RecursionError):
        return Struct()


def optional_text(message: Message, field: str) -> str | None:
    """A text that PostgreSQL can be asked about; None for whatever it is."""
    text: str = getattr(message, field)
    if not text.isprintable():
        raise _refusal(field, "text.printable", "holds what cannot be printed")
    return text or None


def _moment(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    timestamp: Timestamp = getattr(message, field)
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise _refusal(field, "timestamp.range", "holds a moment that there is not") from None


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _refusal(field: str, rule: str, message: str) -> InvalidArgument:
    return InvalidArgument(
        f"the request {message}", violations=[FieldViolation(field, rule, message)]
    )
