"""/v1/events: everything that happened, as it was when it happened."""

from __future__ import annotations

from typing import Any, Final

from sandbox import codec
from sandbox.domain.work import NOTHING_BEFORE, Event
from sandbox.errors import InvalidRequest
from sandbox.listing import Condition, Filter, list_page
from sandbox.parameters import Boolean, ListOf, Text, listing, operation
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, kind_named, shape, shapes

_MAX_TYPES: Final = 20
_UNDELIVERED: Final = (
    "exists (select 1 from deliveries where event = entities.id and state <> 'delivered')"
)


def _retrieve(call: Call) -> Event:
    return call.work.get(Event, call.id)


def _of_type(pattern: str) -> Condition:
    return "json_extract(data, '$.type') glob ?", (pattern.replace("[", "[[]").replace("?", "[?]"),)


def _of_types(types: tuple[str, ...]) -> Condition:
    marks = ", ".join("?" * len(types))
    return f"json_extract(data, '$.type') in ({marks})", types


def _delivered(succeeded: bool) -> Condition:
    return (f"not {_UNDELIVERED}" if succeeded else _UNDELIVERED), ()


def _list(call: Call) -> Listing:
    if "type" in call.params and "types" in call.params:
        raise InvalidRequest("type and types cannot be used together.", param="types")
    filters: dict[str, Filter] = {
        "type": _of_type,
        "types": _of_types,
        "delivery_success": _delivered,
    }
    return list_page(call, Event, filters=filters)


ROUTES: Final = (
    Route("GET", "events/{id}", "events.retrieve", operation(), _retrieve),
    Route(
        "GET",
        "events",
        "events.list",
        listing(
            type=Text(unsettable=False),
            types=ListOf(Text(unsettable=False), _MAX_TYPES),
            delivery_success=Boolean(),
        ),
        _list,
    ),
)


@shapes(Event)
def event_shape(event: Event, view: View) -> Json:
    """An event as Stripe shows it, with what an update changed."""
    kind = kind_named(event.object_kind)
    data: Json = {"object": shape(codec.decode(kind, bytes(event.snapshot)), view)}
    previous = bytes(event.previous)
    if previous != NOTHING_BEFORE:
        before = shape(codec.decode(kind, previous), view)
        data["previous_attributes"] = _changed(before, data["object"])
    return {
        "id": event.id,
        "object": "event",
        "api_version": view.api_version,
        "created": event.created,
        "data": data,
        "livemode": False,
        "pending_webhooks": view.pending_webhooks(event.id),
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.type,
    }


def _changed(before: Json, after: Json) -> Json:
    changed: dict[str, Any] = {}
    for name, value in before.items():
        if name in after and value != after[name]:
            nested = isinstance(value, dict) and isinstance(after[name], dict)
            changed[name] = _changed(value, after[name]) if nested else value
    return changed
