"""A payment's story as JSON, rendered field by field from its message.

The story grows with the platform, so it is not written out here: every message in it is rendered by
the same few rules, which are those of all shapes.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from payments.orchestrator.v1.payment_story_pb2 import PaymentStory

from gateway.shapes.payment import payment_shape

_WELL_KNOWN: Final = "google.protobuf."
_NANOS: Final = 1_000_000


def story_shape(story: PaymentStory) -> dict[str, Any]:
    rendered = _message(story)
    rendered["payment"] = payment_shape(story.payment)
    return {"object": "payment_story", **rendered}


def _message(message: Message) -> dict[str, Any]:
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            inner = entry.fields_by_name["value"]
            return {str(key): _value(value[key], inner) for key in value}
        return [_value(item, field) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:
    if field.enum_type is not None:
        return _words(field.enum_type).get(value)
    if field.message_type is None:
        return value if value != "" else None
    name = field.message_type.full_name
    if name == "payments.core.v1.Money":
        return {"amount": value.amount_minor, "currency": value.currency}
    if name == f"{_WELL_KNOWN}Duration":
        return {"milliseconds": value.seconds * 1000 + value.nanos // _NANOS}
    if name.startswith(_WELL_KNOWN):
        return value.ToJsonString() if hasattr(value, "ToJsonString") else MessageToDict(value)
    return _message(value)


@lru_cache(maxsize=256)
def _words(enum: EnumDescriptor) -> Mapping[int, str]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {
        value.number: value.name.removeprefix(prefix).lower()
        for value in enum.values
        if value.number
    }
