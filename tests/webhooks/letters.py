"""Deliveries as Stripe makes them, and as others do."""

import hmac
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any

SECRET = "whsec_first_of_the_test"  # noqa: S105 -- a test's own
OTHER_SECRET = "whsec_other_of_the_test"  # noqa: S105 -- a test's own

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Letter:
    """A body and the header that signs it."""

    body: bytes
    header: str


def intent_event(
    *,
    event_id: str | None = None,
    event_type: str = "payment_intent.succeeded",
    intent_id: str = "pi_test",
    attempt_id: str = "",
    **more: Any,
) -> dict[str, Any]:
    """An event about a payment intent, as far as anybody reads it."""
    return {
        "id": event_id or f"evt_{next(_numbers):06d}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "type": event_type,
        "data": {
            "object": {
                "id": intent_id,
                "object": "payment_intent",
                "status": "succeeded",
                "amount": 1250,
                "amount_received": 1250,
                "amount_capturable": 0,
                "currency": "usd",
                "metadata": {"attempt_id": attempt_id} if attempt_id else {},
            }
        },
        **more,
    }


def signature(body: bytes, secret: str = SECRET, *, at: float | None = None) -> str:
    seconds = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d.%b" % (seconds, body), "sha256").hexdigest()
    return f"t={seconds},v1={digest}"


def letter(event: Any = None, *, secret: str = SECRET, at: float | None = None) -> Letter:
    """A delivery of an event, or of a body as it is."""
    if event is None:
        event = intent_event()
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Letter(body, signature(body, secret, at=at))
