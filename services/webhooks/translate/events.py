"""Stored events: which are asked for, and what is told of them."""

from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct
from payments.core.v1 import error_reason_pb2, failure_pb2
from payments.webhooks.v1 import webhook_event_pb2
from payments.webhooks.v1 import webhook_service_pb2 as pb

from services.kernel.errors import Reason
from services.kernel.ids import PaymentId, WebhookEventId
from services.runtime.wire.moments import duration, optional_moment, timestamp
from services.webhooks.domain.event import (
    EventFilter,
    ReplaySelection,
    Standing,
    State,
    WebhookEvent,
)
from services.webhooks.translate.gaps import missing_message
from services.webhooks.translate.words import optional_text, refusal

_IDS_MAX: Final = 1_000
# A message of 4 MiB has to hold the body and what it says.
_SHOWN_TWICE_BYTES_MAX: Final = 1024 * 1024

_STATES: Final = {
    state: webhook_event_pb2.WebhookEventState.Value(f"WEBHOOK_EVENT_STATE_{state.name}")
    for state in State
}
_STATE_OF: Final[dict[int, State]] = {number: state for state, number in _STATES.items()}


def event_filter(request: pb.ListWebhookEventsRequest) -> EventFilter:
    states = tuple(_STATE_OF[number] for number in request.states if number in _STATE_OF)
    if len(states) != len(request.states):
        raise refusal("states", "webhook.states", "names a state that there is not")
    return EventFilter(
        states=states or None,
        event_type=optional_text(request, "event_type"),
        processor_id=optional_text(request, "processor_id"),
        payment_id=PaymentId.parse(request.payment_id) if request.payment_id else None,
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def replay_selection(request: pb.ReplayWebhookEventsRequest) -> ReplaySelection:
    match request.WhichOneof("selection"):
        case "ids":
            ids = request.ids.webhook_event_ids
            if not 1 <= len(ids) <= _IDS_MAX:
                raise refusal("ids", "replay.ids.count", f"names 1 to {_IDS_MAX} webhook events")
            chosen = tuple(sorted({WebhookEventId.parse(text) for text in ids}))
            return ReplaySelection(ids=chosen, failed_only=request.failed_only)
        case "range":
            return ReplaySelection(
                created_from=optional_moment(request.range, "created_from"),
                created_before=optional_moment(request.range, "created_before"),
                failed_only=request.failed_only,
            )
        case _:
            raise refusal("selection", "replay.selection", "says which events are meant")


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
        occurred_at=timestamp(event.occurred_at),
        created_at=timestamp(event.created_at),
        processed_at=timestamp(event.processed_at),
    )
    if event.payload is not None and len(event.body) <= _SHOWN_TWICE_BYTES_MAX:
        message.payload.CopyFrom(_struct(event.payload))
    if event.failure is not None:
        message.last_failure.CopyFrom(_failure(*event.failure))
    return message


def status_response(standing: Standing) -> pb.GetWebhookStatusResponse:
    missing = standing.oldest_missing
    return pb.GetWebhookStatusResponse(
        counts=[
            pb.WebhookStateCount(state=number, count=standing.counts.get(state, 0))
            for state, number in _STATES.items()
        ],
        oldest_pending_age=duration(standing.oldest_pending_age),
        oldest_missing=None if missing is None else missing_message(missing),
        compared_through=timestamp(standing.compared_through),
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
