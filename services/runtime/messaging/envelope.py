"""The envelope, as consumers open it: a message that cannot be read is known for good at once."""

from google.protobuf.message import DecodeError
from payments.events.v1.envelope_pb2 import Envelope

from services.runtime.messaging.consumer import Unreadable


def open_envelope(payload: bytes) -> Envelope:
    """The envelope in a payload; Unreadable for bad bytes and for types of a later release."""
    try:
        envelope = Envelope.FromString(payload)
    except DecodeError as error:
        raise Unreadable(f"these bytes are no envelope: {error}") from error
    if envelope.WhichOneof("payload") is None:
        raise Unreadable(f"this release knows no message {envelope.type or 'without a type'}")
    return envelope
