"""Events as a processor delivers them, true to form or not."""

import json
from random import Random
from typing import Any, Final

from tests.fuzz import hostile
from tests.fuzz.probes import Mark

NO_EVENTS: Final = (
    *(b"", b"{}", b"null", b"[]", b"\xff\xfe", b'{"id": 1}', b'{"id": "evt_\\u0000"}'),
    *(b'{"id": "evt_\\ud800", "type": "x"}', b"[" * 5_000, b"\x00" * 100),
)


def event(chance: Random, mark: Mark) -> bytes:
    types = (
        *("payment_intent.succeeded", "payment_intent.payment_failed", "charge.refunded", ""),
        *("charge.dispute.created", "charge.dispute.closed", "refund.updated", "invoice.paid", "x"),
    )
    thing: dict[str, Any] = {
        "id": chance.choice((f"pi_{mark.text}", "pi_x", hostile.text(chance), 17, None)),
        "object": chance.choice(("payment_intent", "charge", "dispute", "refund", "", 1)),
        "amount": chance.choice(hostile.INTEGERS),
        "currency": chance.choice(("usd", "xyz", "", None, "US\u0000")),
        "status": chance.choice(("succeeded", "requires_capture", "", 7)),
        "metadata": chance.choice(
            (
                {},
                None,
                {"switchyard_attempt_id": hostile.text(chance)},
                {"a": hostile.nested(chance)},
            )
        ),
        "payment_intent": chance.choice(("pi_x", None, {}, [])),
    }
    told: dict[str, Any] = {
        "id": chance.choice((f"evt_{mark.text}", f"evt_{mark.text}", "", 17, None, "x" * 300)),
        "object": "event",
        "type": chance.choice(types),
        "created": chance.choice((int(1.7e9), *hostile.INTEGERS, "now", None)),
        "data": chance.choice(({"object": thing}, {"object": thing}, {}, None, [])),
    }
    return json.dumps(told).encode()
