"""A delivery on its way: what came, the command to apply it, and what the orchestrator said."""

import re
from datetime import datetime
from typing import Final, Protocol

from payments.events.v1 import command_pb2, dead_letter_pb2
from payments.events.v1.envelope_pb2 import Envelope
from payments.orchestrator.v1 import orchestrator_service_pb2, payment_story_pb2
from payments.processor.v1 import processor_event_pb2
from payments.webhooks.v1 import webhook_service_pb2 as pb

from services.kernel.errors import Reason
from services.kernel.ids import EventId, PaymentId, WebhookEventId
from services.runtime.wire.moments import optional_moment
from services.webhooks.domain.delivery import Received
from services.webhooks.domain.event import Disposition, Failure, Told

_SCHEMA_VERSION: Final = 1
_REASON: Final = re.compile(r"\[([A-Z_]+)\]")
_DISPOSITION_OF: Final[dict[int, Disposition]] = {
    payment_story_pb2.EventDisposition.Value(f"EVENT_DISPOSITION_{each.name}"): each
    for each in Disposition
}


def received(request: pb.ReceiveWebhookRequest) -> Received:
    return Received(
        adapter=request.adapter,
        body=request.body,
        signature_header=request.signature_header,
        received_at=optional_moment(request, "received_at"),
    )


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
