"""Stripe's events in the platform's words, and its list of them turned oldest first.

One fact has one event here: where Stripe tells it by several, the others are ignored. A capture is
told by payment_intent.succeeded and not by charge.captured, a refund by the refund's own events and
not by charge.refunded, whose amount is the charge's total.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from services.kernel.money import Money
from services.kernel.outcome import ErrorCode
from services.processor.adapters.stripe.answers import (
    SECRET_NAMES,
    read_id,
    read_intent,
    read_list,
    read_refund,
    word,
)
from services.processor.adapters.stripe.api import Answer, StripeApi
from services.processor.adapters.stripe.currency import from_stripe
from services.processor.adapters.stripe.refusals import error_code, native_reason
from services.processor.domain.event import EventPage, EventType, EventWindow, ProcessorEvent
from services.processor.domain.raw import keepable
from services.processor.domain.verdict import Misfit, NoAnswer

_LIST_LIMIT: Final = 100
_LATEST: Final = 253402300799  # the last second of the year 9999

Reader = Callable[[ProcessorEvent, Mapping[str, Any]], ProcessorEvent]


def read_delivery(body: bytes) -> ProcessorEvent:
    """A delivered event; what is no event of Stripe's, or cannot be one, is a Misfit."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise Misfit("it is no JSON") from None
    if not isinstance(event, Mapping):
        raise Misfit("it is no object")
    return _read(_frame(event), event)


async def list_oldest_first(
    api: StripeApi, window: EventWindow, after: str | None, limit: int
) -> EventPage:
    """A page of events; Stripe lists the newest first, so the first is found by walking back."""
    created = _created(window)
    if after is None:
        items, newer = await _oldest(api, created, limit)
    else:
        params = {**created, "ending_before": after, "limit": limit}
        items, newer = _page(await api.list_events(params))
    found = [_tolerantly(item) for item in reversed(items)]
    return EventPage(found, found[-1].id if found and newer else None)


async def _oldest(
    api: StripeApi, created: Mapping[str, Any], limit: int
) -> tuple[list[Mapping[str, Any]], bool]:
    params = {**created, "limit": _LIST_LIMIT}
    seen: list[Mapping[str, Any]] = []
    newer = False
    while True:
        items, older = _page(await api.list_events(params))
        newer = newer or len(seen) + len(items) > limit
        # No more than the last of them are wanted, however far back the walk goes.
        seen = [*seen, *items][-limit:]
        if not older or not items:
            return seen, newer
        params["starting_after"] = read_id(items[-1].get("id"), "evt_")


def _page(answer: Answer) -> tuple[list[Mapping[str, Any]], bool]:
    if not answer.is_object:
        raise NoAnswer(f"Stripe answered HTTP {answer.status} to a question")
    items, has_more = read_list(answer.body)
    return list(items), has_more


def _created(window: EventWindow) -> dict[str, Any]:
    bounds = {}
    if window.occurred_from is not None:
        # Stripe counts whole seconds: an event of the second in which the window begins is in it.
        bounds["gte"] = int(window.occurred_from.timestamp())
    if window.occurred_before is not None:
        bounds["lt"] = -int(-window.occurred_before.timestamp() // 1)
    return {"created": bounds} if bounds else {}


def _tolerantly(event: Mapping[str, Any]) -> ProcessorEvent:
    """An event of a list; one that cannot be read keeps its place, so that it is noticed."""
    frame = _frame(event)
    try:
        return _read(frame, event)
    except Misfit:
        return frame


def _frame(event: Mapping[str, Any]) -> ProcessorEvent:
    """What every event has."""
    if event.get("object") != "event":
        raise Misfit("it is no event")
    created = event.get("created")
    if type(created) is not int or not 0 <= created <= _LATEST:
        raise Misfit("it does not say when it happened")
    kept = keepable(event, SECRET_NAMES)
    return ProcessorEvent(
        id=read_id(event.get("id"), "evt_"),
        type=EventType.UNSPECIFIED,
        native_type=word(event.get("type")) or "",
        occurred_at=datetime.fromtimestamp(created, UTC),
        api_version=word(event.get("api_version")),
        raw=json.dumps(kept, separators=(",", ":")).encode(),
    )


def _read(frame: ProcessorEvent, event: Mapping[str, Any]) -> ProcessorEvent:
    reader = _READERS.get(frame.native_type)
    if reader is None:
        return replace(frame, type=EventType.IGNORED)
    data = event.get("data")
    subject = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(subject, Mapping):
        raise Misfit("it tells of no object")
    if subject.get("object") != "payment_intent" and subject.get("payment_intent") is None:
        # It belongs to a charge that was made without an intent, and so not by us.
        return replace(frame, type=EventType.IGNORED)
    return reader(frame, subject)


def _intent_event(
    kind: EventType, frame: ProcessorEvent, subject: Mapping[str, Any]
) -> ProcessorEvent:
    intent = read_intent(subject)
    amount = {EventType.AUTHORIZED: intent.capturable, EventType.CAPTURED: intent.received}
    error = intent.last_error if kind is EventType.FAILED else None
    code = None
    if kind is EventType.FAILED:
        code = error_code(error) if error else ErrorCode.UNKNOWN
    return replace(
        frame,
        type=kind,
        attempt_id=intent.attempt_id,
        hold=intent.id,
        object_id=intent.id,
        amount=amount.get(kind, intent.amount),
        error_code=code,
        native_reason=native_reason(error) if error else word(subject.get("cancellation_reason")),
    )


def _of_intent(kind: EventType) -> Reader:
    return lambda frame, subject: _intent_event(kind, frame, subject)


_REFUND_TYPES: Final = {
    "succeeded": EventType.REFUND_SUCCEEDED,
    "pending": EventType.REFUND_PENDING,
    "requires_action": EventType.REFUND_PENDING,
    "failed": EventType.REFUND_FAILED,
    "canceled": EventType.REFUND_FAILED,
}


def _refund_event(frame: ProcessorEvent, subject: Mapping[str, Any]) -> ProcessorEvent:
    refund = read_refund(subject)
    kind = _REFUND_TYPES.get(refund.state)
    if kind is None:
        raise Misfit(f"the refund is in a state we do not know: {refund.state or 'none'}")
    is_failed = kind is EventType.REFUND_FAILED
    return replace(
        frame,
        type=kind,
        attempt_id=refund.attempt_id,
        hold=refund.hold,
        object_id=refund.id,
        amount=refund.amount,
        error_code=ErrorCode.PROCESSING_ERROR if is_failed else None,
        native_reason=refund.failure_reason,
    )


def _dispute_event(
    kind: EventType, frame: ProcessorEvent, subject: Mapping[str, Any]
) -> ProcessorEvent:
    if subject.get("object") != "dispute":
        raise Misfit("the answer is no dispute")
    return replace(
        frame,
        type=kind,
        hold=read_id(subject.get("payment_intent"), "pi_"),
        object_id=read_id(subject.get("id"), "dp_", "du_"),
        amount=from_stripe(subject.get("amount"), subject.get("currency")),
        fee=_dispute_fee(subject) if kind is EventType.DISPUTE_FUNDS_WITHDRAWN else None,
        native_reason=word(subject.get("reason")),
    )


def _of_dispute(kind: EventType) -> Reader:
    return lambda frame, subject: _dispute_event(kind, frame, subject)


def _dispute_told(frame: ProcessorEvent, subject: Mapping[str, Any]) -> ProcessorEvent:
    """Opened, now or by escalation; an inquiry, whose states begin so, takes no funds yet."""
    state = word(subject.get("status")) or ""
    opened = state == "needs_response" or frame.native_type == "charge.dispute.created"
    if state.startswith("warning_") or not opened:
        return replace(frame, type=EventType.IGNORED)
    return _dispute_event(EventType.DISPUTE_OPENED, frame, subject)


def _dispute_closed(frame: ProcessorEvent, subject: Mapping[str, Any]) -> ProcessorEvent:
    kinds = {"won": EventType.DISPUTE_WON, "lost": EventType.DISPUTE_LOST}
    kind = kinds.get(word(subject.get("status")) or "")
    if kind is None:
        return replace(frame, type=EventType.IGNORED)
    return _dispute_event(kind, frame, subject)


def _dispute_fee(subject: Mapping[str, Any]) -> Money | None:
    """The fee of the withdrawal, which is the oldest movement of the dispute."""
    movements = subject.get("balance_transactions")
    if not isinstance(movements, list) or not movements or not isinstance(movements[0], Mapping):
        return None
    try:
        return from_stripe(movements[0].get("fee"), movements[0].get("currency"))
    except Misfit:
        return None


_READERS: Final[Mapping[str, Reader]] = {
    "payment_intent.requires_action": _of_intent(EventType.ACTION_REQUIRED),
    "payment_intent.amount_capturable_updated": _of_intent(EventType.AUTHORIZED),
    "payment_intent.succeeded": _of_intent(EventType.CAPTURED),
    "payment_intent.payment_failed": _of_intent(EventType.FAILED),
    "payment_intent.canceled": _of_intent(EventType.CANCELED),
    "refund.created": _refund_event,
    "refund.updated": _refund_event,
    "refund.failed": _refund_event,
    "charge.refund.updated": _refund_event,
    "charge.dispute.created": _dispute_told,
    "charge.dispute.updated": _dispute_told,
    "charge.dispute.funds_withdrawn": _of_dispute(EventType.DISPUTE_FUNDS_WITHDRAWN),
    "charge.dispute.funds_reinstated": _of_dispute(EventType.DISPUTE_FUNDS_REINSTATED),
    "charge.dispute.closed": _dispute_closed,
}
