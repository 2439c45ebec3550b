"""HTTP requests that may mean something: messy, oddly addressed, signed, or anything at all."""

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from tests.fuzz import bodies, hostile
from tests.fuzz.events import NO_EVENTS, event
from tests.fuzz.http_probes import (
    API,
    MAKING,
    Headers,
    HttpProbe,
    Way,
    in_a_line,
    ordering,
    shown,
    weighted,
)
from tests.fuzz.probes import Expected, Mark
from tests.fuzz.world import World


def _signed_webhook(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """An event that is signed as it must be, and tells of anything at all."""
    is_event = chance.random() < 0.4
    body = event(chance, mark) if is_event else chance.choice(NO_EVENTS)
    sent_at = int(time.time())
    signed = hmac.new(
        world.webhook_secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256
    ).hexdigest()
    headers = (("Stripe-Signature", f"t={sent_at},v1={signed}"), ("Request-Id", mark.request_id))
    target = f"{API}/webhooks/stripe"
    return HttpProbe(mark, "signed", Expected.ANSWERED, "POST", target, headers, body)


def _messy_headers(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """A good request with headers that leave an issue."""
    key = ("Idempotency-Key", f"{mark.text}-key")
    request_id = ("Request-Id", hostile.text(chance)[:200] or "42")
    ways: Sequence[Headers] = (
        (("Request-Id", mark.request_id),),
        (key, in_a_line(*request_id)),
        (key, ("Content-Type", chance.choice(_OTHER_TYPES))),
    )
    headers = (("Authorization", f"Bearer {world.api_key}"), *chance.choice(ways))
    headers += ((in_a_line("Traceparent", hostile.text(chance))),)
    body = bodies.as_bytes(bodies.canonical(chance, mark))
    target = chance.choice(MAKING)
    return HttpProbe(mark, "headers", Expected.REMARKED, "POST", target, headers, body)


_OTHER_TYPES: Final = (
    *("text/plain", "application/xml", "multipart/form-data", "application/javascript"),
    *("image/png", ";;;", "application/json; charset=utf-16", "x" * 200),
)


def _odd_headers(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """A good request with headers that nobody reads, or not so."""
    names = ("Prefer", "User-Agent", "Cookie", "Accept", "X-Forwarded-For", "Traceparent", "Expect")
    odd = tuple(
        in_a_line(chance.choice(names[:6]), hostile.text(chance))
        for _ in range(chance.randrange(5))
    )
    headers = (*shown(world, chance, mark), *odd)
    body = bodies.as_bytes(bodies.canonical(chance, mark))
    target = chance.choice(MAKING)
    return HttpProbe(mark, "odd", Expected.ANSWERED, "POST", target, headers, body)


WEIGHTS: Final = weighted(messy=40, anything=25, signed=10, headers=15, odd=10)
WAYS: Final[Mapping[str, Way]] = {
    "messy": ordering("messy", Expected.REMARKED, bodies.messy),
    "anything": ordering("anything", Expected.ANSWERED, bodies.anything),
    "signed": _signed_webhook,
    "headers": _messy_headers,
    "odd": _odd_headers,
}
