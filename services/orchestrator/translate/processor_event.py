"""What processors tell, and what is said of it."""

from typing import Final

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2
from payments.processor.v1 import processor_event_pb2

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.ids import AttemptId, WebhookEventId
from services.orchestrator.domain.applied import Disposition, FactKind, ProcessorEvent, Told
from services.orchestrator.translate.words import (
    ERROR_CODES,
    choice,
    invalid,
    kept,
    moment,
    money_from,
    name_text,
    word,
)

_KINDS: Final = {
    processor_event_pb2.ProcessorEventType.Value(f"PROCESSOR_EVENT_TYPE_{kind.name}"): kind
    for kind in FactKind
}
DISPOSITION_NUMBERS: Final = {
    each: payment_story_pb2.EventDisposition.Value(f"EVENT_DISPOSITION_{each.name}")
    for each in Disposition
}


def processor_event_from(request: pb.ApplyProcessorEventRequest) -> ProcessorEvent:
    """The event, or why it cannot be heard."""
    if not request.idempotency_key:
        raise invalid(
            "idempotency_key",
            "idempotency_key.present",
            "must not be empty",
            reason=Reason.IDEMPOTENCY_KEY_MISSING,
        )
    event = request.event
    for name in ("id", "processor_id"):
        if not getattr(event, name):
            raise invalid(f"event.{name}", f"event.{name}.present", "must not be empty")
    for name in ("id", "processor_id", "processor_reference", "object_id"):
        name_text(f"event.{name}", getattr(event, name))
    webhook_event_id = request.webhook_event_id
    return ProcessorEvent(
        id=event.id,
        processor_id=event.processor_id,
        kind=word("event.type", event.type, _KINDS),
        native_type=kept(event.native_type),
        occurred_at=moment("event.occurred_at", event.occurred_at),
        attempt_id=_attempt_id(event.attempt_id),
        reference=event.processor_reference or None,
        object_id=event.object_id or None,
        amount=money_from(event.amount) if event.HasField("amount") else None,
        fee=money_from(event.fee) if event.HasField("fee") else None,
        error_code=choice("event.error_code", event.error_code, ERROR_CODES),
        native_reason=kept(event.native_reason),
        webhook_event_id=WebhookEventId.parse(webhook_event_id) if webhook_event_id else None,
    )


def told_message(told: Told) -> pb.ApplyProcessorEventResponse:
    return pb.ApplyProcessorEventResponse(
        disposition=DISPOSITION_NUMBERS[told.heard.disposition],
        payment_id=told.payment_id or "",
        merchant_id=told.merchant_id or "",
        message=told.heard.message,
        replayed=told.replayed,
    )


def _attempt_id(text: str) -> AttemptId | None:
    """The attempt that a processor's object carries; others may leave there what they like."""
    try:
        return AttemptId.parse(text) if text else None
    except InvalidArgument:
        return None
