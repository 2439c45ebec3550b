"""HTTP requests without a meaning: each is refused, and nothing is written."""

import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final
from urllib.parse import quote

from tests.fuzz import bodies, hostile
from tests.fuzz.events import event
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

_ACTIONS: Final = ("capture", "void", "refund")
_HUGE_BYTES: Final = 10_000_000


def _huge(world: World, chance: Random, mark: Mark) -> HttpProbe:
    body = b'{"amount": 1250, "note": "' + b"x" * _HUGE_BYTES + b'"}'
    target = chance.choice((*MAKING, f"{API}/webhooks/stripe"))
    headers = shown(world, chance, mark)
    return HttpProbe(mark, "huge", Expected.REFUSED, "POST", target, headers, body)


def _stranger(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """A good request of somebody who shows no key, or none that is taken."""
    shown: Sequence[Headers] = (
        (),
        (("Authorization", ""),),
        (("Authorization", f"Bearer {hostile.text(chance).strip()}"),),
        (("Authorization", "Bearer syk_" + "A" * chance.randrange(1, 300)),),
        (("Authorization", f"Basic {world.api_key}"),),
        (("Authorization", f"Bearer {world.api_key}x"),),
        (("Authorization", f"Bearer {hostile.card(chance)}"),),
    )
    headers = tuple(in_a_line(name, value) for name, value in chance.choice(shown))
    body = bodies.as_bytes(bodies.canonical(chance, mark))
    target = chance.choice(MAKING)
    return HttpProbe(mark, "stranger", Expected.REFUSED, "POST", target, headers, body)


def _header(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """A good request with a header that it may not have."""
    key = f"{mark.text}-key"
    ways: Sequence[Headers] = (
        (("Idempotency-Key", ""),),
        (("Idempotency-Key", "x" * 256),),
        (("Idempotency-Key", hostile.card(chance)),),
        (("Request-Id", hostile.card(chance)), ("Idempotency-Key", key)),
        (("Idempotency-Key", key), ("Idempotency-Key", f"{key}-other")),
    )
    headers = (("Authorization", f"Bearer {world.api_key}"), *chance.choice(ways))
    body = bodies.as_bytes(bodies.canonical(chance, mark))
    target = chance.choice(MAKING)
    return HttpProbe(mark, "header", Expected.REFUSED, "POST", target, headers, body)


def _nowhere(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """An address that there is none of, or a method that it does not take."""
    odd = quote(hostile.text(chance)[:200] or "..", safe=chance.choice(("", "/.")))
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "PROPFIND", "get")
    if chance.random() < 0.5:
        target = chance.choice(
            (f"/{odd}", f"{API}/{odd}/x", f"{API}/payments/{odd}/x", "//", f"{API}/payments/")
        )
        method = chance.choice(methods)
    else:
        target, method = chance.choice(MAKING), chance.choice(methods[2:])
    headers, body = shown(world, chance, mark), bodies.anything(chance, mark)
    return HttpProbe(mark, "nowhere", Expected.REFUSED, method, target, headers, body)


def _unknown(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """An order about what is not there, is another's, or has an id that is none."""
    ids = (
        *(world.others_payment_id, "pay_00000000000070008000000000000000", "re_1", "pay_", "%00"),
        *(quote(hostile.text(chance)[:100] or "-", safe=""), quote(hostile.card(chance)), "%ff"),
    )
    payment_id = chance.choice(ids)
    tail = chance.choice((*_ACTIONS, "explain", ""))
    method = "POST" if tail in _ACTIONS else "GET"
    target = f"{API}/payments/{payment_id}" + (f"/{tail}" if tail else "")
    headers = shown(world, chance, mark)
    body = b"{}" if method == "POST" else None
    return HttpProbe(mark, "unknown", Expected.REFUSED, method, target, headers, body)


def _question(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """A list asked for with a parameter that means nothing."""
    text = quote(hostile.text(chance), safe="")
    queries = (
        *(f"limit={chance.choice((0, -1, 101, 2**63, 'ten', '%D9%A1', '1e1'))}", "limit=1&limit=2"),
        *(
            f"cursor={text or 'x'}",
            f"status={text or 'x'}",
            "user_id=%00",
            "user_id=%ff",
            "a=1&" * 200,
        ),
        *(f"colour{text}={text}", f"in_doubt={text or 'x'}", f"created_from={text or 'x'}"),
        *(f"user_id={'x' * 256}", f"user_id={quote(hostile.card(chance))}", "%ED%A0%80=1"),
        *("created_before=0000-00-00", "created_from=9999999999-01-01T00:00:00Z"),
    )
    target = f"{API}/payments?{chance.choice(queries)}"
    return HttpProbe(mark, "question", Expected.REFUSED, "GET", target, shown(world, chance, mark))


def _order_about(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """An order about a payment that is there, with a body without a meaning."""
    body = chance.choice(
        (
            *(
                b"{",
                b"[]",
                b'"x"',
                b"\xff",
                b'{"amount": NaN}',
                b'{"amount": 0}',
                b'{"amount": -5}',
            ),
            *(b'{"amount": 9223372036854775808}', b'{"amount": "1 XYZ"}', b'{"amount": [1]}'),
            *(b'{"amount": 1, "amount": 2}', b'{"idempotency_key": 1.5}', b'{"amount": 0.0001}'),
            bodies.as_bytes({"amount": 1, "reason": hostile.card(chance)}),
            bodies.as_bytes({"amount": 10**15}),
            bodies.as_bytes({"amount": 1, "payment_id": world.others_payment_id}),
            bodies.as_bytes({"amount": 1, "currency": "KWD"}),
        )
    )
    action = chance.choice(("capture", "refund"))
    payment_id = world.held_id if action == "capture" else world.captured_id
    target = f"{API}/payments/{payment_id}/{action}"
    headers = shown(world, chance, mark)
    return HttpProbe(mark, "order", Expected.REFUSED, "POST", target, headers, body)


def _posting(world: World, chance: Random, mark: Mark) -> HttpProbe:
    """A ledger transaction that may not be booked."""
    entries: Sequence[object] = (
        [],
        [{"account": "a:x", "amount": 5}],
        [{"account": "a:x", "amount": 5}, {"account": "a:y", "amount": -6}],
        [{"account": "a:x", "amount": 0}, {"account": "a:y", "amount": 0}],
        [{"account": "a:x", "amount": 2**63}, {"account": "a:y", "amount": -(2**63)}],
        [{"account": hostile.card(chance), "amount": 5}, {"account": "a:y", "amount": -5}],
        [{"account": "a\x00b", "amount": 5}, {"account": "a:y", "amount": -5}],
        [
            {"account": "a:x", "amount": 5, "currency": "USD"},
            {"account": "b", "amount": -5, "currency": "EUR"},
        ],
        hostile.text(chance),
        [[]],
    )
    body = {"referenceId": mark.text, "currency": "USD", "entries": chance.choice(entries)}
    is_operator = chance.random() < 0.8
    headers = shown(world, chance, mark, api_key=world.admin_key if is_operator else None)
    return HttpProbe(
        mark, "posting", Expected.REFUSED, "POST", f"{API}/ledger/transactions", headers,
        bodies.as_bytes(body),
    )  # fmt: skip


def _forged_webhook(_world: World, chance: Random, mark: Mark) -> HttpProbe:
    """An event that the processor has not signed."""
    now = int(time.time())
    signatures = (
        *("", "t=,v1=", f"t={now},v1={'0' * 64}", "t=1,v1=ff", f"t={2**70},v1=00", "v1=1,t=x"),
        *(f"t={now},v1={hostile.text(chance)}", "=" * 500, f"t={now}," * 100, "t=-1,v1=é"),
    )
    headers = (in_a_line("Stripe-Signature", chance.choice(signatures)),)
    body = chance.choice((b"", b"{}", b"\x00", event(chance, mark), hostile.junk(chance, 200)))
    target = f"{API}/webhooks/stripe"
    return HttpProbe(mark, "forged", Expected.REFUSED, "POST", target, headers, body)


def _no_http(_world: World, chance: Random, mark: Mark) -> HttpProbe:
    """Bytes that keep to no form of HTTP, or claim what is not so."""
    ways: Sequence[tuple[str, str, Headers]] = (
        ("GET", f"{API}/payments", (("A\x00b", "c"),)),
        ("GET", f"{API}/payments", (("no colon", ""), ("", ""))),
        ("P\x01ST", f"{API}/payments", ()),
        ("POST", f"{API}/pay ments", ()),
        ("POST", f"{API}/payments", (("Content-Length", "-1"),)),
        ("POST", f"{API}/payments", (("Content-Length", "5"), ("Transfer-Encoding", "chunked"))),
        ("POST", f"{API}/payments", (("Transfer-Encoding", "chunked, gzip, x"),)),
        ("GET", "/" + "a" * 100_000, ()),
        ("GET", "/", (("X", "b" * 100_000),)),
        ("GET", "/", tuple((f"X-{place}", "b") for place in range(300))),
        ("\x16\x03\x01\x02\x00\x01", "\x00" * 50, ()),
    )
    method, target, headers = chance.choice(ways)
    return HttpProbe(mark, "no http", Expected.REFUSED, method, target, headers, is_http=False)


WEIGHTS: Final = weighted(
    body=400, stranger=60, header=60, nowhere=90, unknown=100, question=80, order=80, posting=60,
    forged=60, no_http=30, huge=2,
)  # fmt: skip
WAYS: Final[Mapping[str, Way]] = {
    "body": ordering("body", Expected.REFUSED, bodies.hopeless),
    "stranger": _stranger,
    "header": _header,
    "nowhere": _nowhere,
    "unknown": _unknown,
    "question": _question,
    "order": _order_about,
    "posting": _posting,
    "forged": _forged_webhook,
    "no_http": _no_http,
    "huge": _huge,
}
