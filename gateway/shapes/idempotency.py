"""What became of an idempotency key."""

from typing import Literal

from payments.orchestrator.v1.idempotency_pb2 import IdempotencyRecord as RecordMessage
from typing_extensions import TypedDict

from gateway.shapes.words import IDEMPOTENCY_STATES, known, moment


class IdempotencyRecord(TypedDict):
    """Whether a key was used, for what, and whether the same request may be sent again."""

    object: Literal["idempotency_key"]
    idempotency_key: str
    status: Literal["unseen", "in_flight", "done", "conflict"]
    retry_safe: bool
    operation: str | None
    payment_id: str | None
    request_id: str | None
    first_used_at: str | None
    answered_at: str | None


def record_shape(message: RecordMessage) -> IdempotencyRecord:
    return {
        "object": "idempotency_key",
        "idempotency_key": message.idempotency_key,
        "status": IDEMPOTENCY_STATES[message.state],
        "retry_safe": message.retry_safe,
        "operation": known(message.operation),
        "payment_id": known(message.payment_id),
        "request_id": known(message.request_id),
        "first_used_at": (
            moment(message.first_used_at) if message.HasField("first_used_at") else None
        ),
        "answered_at": moment(message.answered_at) if message.HasField("answered_at") else None,
    }
