"""What has to be known of a delivered body before it is stored: that it is an event, and which.

Nothing else is looked at here. An event of a type or version that nobody knows is stored like any
other: what it means is found out afterwards, and can be found out again by a later release.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from services.kernel.context import TRACE_METADATA_KEY
from services.kernel.errors import FieldViolation, InvalidArgument, Reason

# What goes on to be applied travels in a message of 4 MiB, with more beside it.
BODY_BYTES_MAX: Final = 3 * 1024 * 1024

_EVENT_ID: Final = re.compile(r"evt_[A-Za-z0-9_]{1,200}", re.ASCII)
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9_]{1,180}", re.ASCII)
_TYPE: Final = re.compile(r"[\x21-\x7e]{1,255}")
_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", re.ASCII)
_DIGITS_MAX: Final = 19
_LATEST: Final = 253402300799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as the gateway took it."""

    adapter: str
    body: bytes
    signature_header: str
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as it came, and the little that is read of it at once."""

    event_id: str
    event_type: str
    """Empty for what is no word."""
    object_id: str
    """The payment that it is about in the processor's books, else the object, else the event."""
    occurred_at: datetime | None
    body: bytes
    traceparent: str | None = None
    """The recorded trace of what it is about, where the processor was told of that."""


def read_delivery(body: bytes) -> Delivery:
    """The event in a body; refuses what is none, and what is too large to be applied."""
    if len(body) > BODY_BYTES_MAX:
        message = f"must be at most {BODY_BYTES_MAX} bytes"
        raise _refusal(f"{message}, and is {len(body)}", Reason.MESSAGE_TOO_LARGE, "body.size")
    try:
        event = _parsed(body)
    except (ValueError, RecursionError):
        raise _refusal("is no JSON", Reason.BODY_MALFORMED, "body.json") from None
    if not isinstance(event, Mapping) or event.get("object") != "event":
        raise _refusal("is no event", Reason.BODY_MALFORMED, "body.event")
    event_id = _matching(_EVENT_ID, event.get("id"))
    if event_id is None:
        raise _refusal("is an event without an id", Reason.BODY_MALFORMED, "body.event_id")
    return Delivery(
        event_id=event_id,
        event_type=_matching(_TYPE, event.get("type")) or "",
        object_id=_object_id(event) or event_id,
        occurred_at=_moment(event.get("created")),
        body=body,
        traceparent=_traceparent(event),
    )


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # It also refuses JSON that holds numbers or characters which it cannot represent.
        return json.loads(body.decode(), parse_int=_number, parse_constant=_refuse)


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS_MAX else None


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


def _object_id(event: Mapping[str, Any]) -> str | None:
    subject = _subject(event)
    payment = subject.get("payment_intent")
    if isinstance(payment, Mapping):
        payment = payment.get("id")
    return _matching(_OBJECT_ID, payment) or _matching(_OBJECT_ID, subject.get("id"))


def _traceparent(event: Mapping[str, Any]) -> str | None:
    metadata = _subject(event).get("metadata")
    known = metadata.get(TRACE_METADATA_KEY) if isinstance(metadata, Mapping) else None
    return _matching(_TRACEPARENT, known)


def _subject(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that an event is about, as it then was."""
    data = event.get("data")
    subject = data.get("object") if isinstance(data, Mapping) else None
    return subject if isinstance(subject, Mapping) else {}


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _moment(created: object) -> datetime | None:
    if type(created) is not int or not 0 <= created <= _LATEST:
        return None
    return datetime.fromtimestamp(created, UTC)


def _refusal(problem: str, reason: Reason, rule: str) -> InvalidArgument:
    return InvalidArgument(
        f"the body {problem}", reason=reason, violations=[FieldViolation("body", rule, problem)]
    )
