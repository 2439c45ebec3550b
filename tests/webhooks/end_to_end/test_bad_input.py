"""What nobody honest sends, and what only time to come will: answered below 500, lost never."""

import asyncio
import copy
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.gateway.http.stage import JsonObject, Shop
from tests.webhooks.conftest import eventually
from tests.webhooks.end_to_end.platform import CAPTURE, Platform, event_about
from tests.webhooks.letters import Letter, intent_event, letter, signature

pytestmark = pytest.mark.asyncio(loop_scope="module")

Make = Callable[[str], tuple[bytes, bytes]]

_BODY: Final = json.dumps(intent_event(event_id="evt_never_taken")).encode()
_ZEROS: Final = "0" * 64
_HEADERS: Final[dict[str, Callable[[str], bytes]]] = {
    "missing": lambda _: b"",
    "a comma": lambda _: b",",
    "forged": lambda secret: signature(_BODY + b" ", secret).encode(),
    "of a wrong secret": lambda _: signature(_BODY, "whsec_somebody_elses").encode(),
    "expired": lambda secret: signature(_BODY, secret, at=time.time() - 301).encode(),
    "from the future": lambda secret: signature(_BODY, secret, at=time.time() + 400).encode(),
    "not ascii": lambda secret: f"{signature(_BODY, secret)},v1=ñ€".encode(),
    "not utf-8": lambda secret: signature(_BODY, secret).encode() + b"\xff\xfe",
    "garbage": lambda _: b";=,,t,v1==",
    "without a time": lambda _: f"v1={_ZEROS}".encode(),
    "with a time beyond all": lambda _: f"t={'9' * 400},v1={_ZEROS}".encode(),
    "with a time below zero": lambda _: f"t=-1,v1={_ZEROS}".encode(),
    "in capitals": lambda secret: signature(_BODY, secret).upper().encode(),
    "very long": lambda _: b"t=1," + b"v1=0," * 3_000,
}
_NO_EVENTS: Final[dict[str, bytes]] = {
    "nothing": b"",
    "no json": b'{"object": "event"',
    "not utf-8": b'{"object": "event", "id": "\xff"}',
    "a list": b"[]",
    "a number": b"7",
    "another object": b'{"object": "charge", "id": "ch_1"}',
    "no id": b'{"object": "event", "type": "payment_intent.succeeded"}',
    "an id that is none": b'{"object": "event", "id": "../../etc"}',
    "a nest without end": b'{"object": "event", "id": "evt_1", "data": ' + b"[" * 60_000,
}
_WEIRD: Final[tuple[Any, ...]] = (
    *(None, "", " ", "x" * 3_000, "\x00", "ñ€😀", True, False, -1, 0, 1.5, 10**18, 2**63, 2**70),
    *([], [[]], {}, {"id": {}}, "succeeded", "pi_", "evt_1", "XXX", "usd"),
)


_BENT: Final = 80


async def _stored(platform: Platform) -> int:
    (row,) = await platform.rows("select count(*) as n from webhooks.webhook_events")
    return int(row["n"])


@pytest.mark.parametrize("case", _HEADERS)
async def test_a_signature_that_does_not_hold_is_refused_and_leaves_nothing(
    platform: Platform, case: str
) -> None:
    before = await _stored(platform)
    header = _HEADERS[case](platform.accounts["stripe"].secret)
    headers = [(b"stripe-signature", header)] if header else []
    answer = await platform.stage.http.post(
        "/api/v1/webhooks/stripe", content=_BODY, headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid"), answer.text
    assert await _stored(platform) == before


@pytest.mark.parametrize("case", _NO_EVENTS)
async def test_a_signed_body_that_is_no_event_is_refused(platform: Platform, case: str) -> None:
    before = await _stored(platform)
    sent = letter(_NO_EVENTS[case], secret=platform.accounts["stripe"].secret)
    answer = await platform.post(sent)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_malformed"), answer.text
    assert await _stored(platform) == before


@pytest.mark.parametrize("size_mib", [2, 5])
async def test_an_event_of_megabytes_is_refused_before_it_is_read(
    platform: Platform, size_mib: int
) -> None:
    before = await _stored(platform)
    large = intent_event(note="x" * size_mib * 1024 * 1024)
    answers = await platform.tell(large, times=3)
    assert {answer.status_code for answer in answers} == {413}
    assert await _stored(platform) == before


async def test_an_event_just_below_the_limit_is_taken_and_applied(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    path = f"payment_intents/{await platform.hold_id(payment)}"
    intent = (await platform.outside.api.get(path)).json()
    large = event_about({**intent, "description": "x" * 1_000_000}, "payment_intent.succeeded")
    (answer,) = await platform.tell(large)
    event = await platform.until_event(answer.json()["webhook_event_id"], "processed")
    assert len(event["raw_body"]) > 1_000_000


async def test_types_and_versions_that_nobody_knows_are_kept(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000, capture_method="manual")
    await platform.settled()
    await platform.outside.mischief(paused=True)
    taken = await platform.at_processor(payment, "capture")
    unknown = event_about(taken, "payment_intent.teleported")
    (answer,) = await platform.tell(unknown)
    await platform.until_event(answer.json()["webhook_event_id"], "ignored")
    future = event_about(taken, "payment_intent.succeeded", api_version="2099-12-31.zinnia")
    (answer,) = await platform.tell(future)
    await platform.until_event(answer.json()["webhook_event_id"], "processed")
    await platform.until(shop, payment, status="captured")
    assert await platform.booked(shop, payment) == [CAPTURE]
    shown = (await platform.stage.http.get("/metrics")).text
    assert 'webhooks_processed_total{event_type="other"}' in shown
    assert "teleported" not in shown, "a label may not take any value that a sender makes up"


def _bent(event: JsonObject, chance: random.Random) -> JsonObject:
    """The event with one thing in it that is not as it should be, under a name of its own."""
    bent = copy.deepcopy(event)
    places = [*_places(bent["data"]["object"]), (bent, "type"), (bent, "data")]
    holder, name = chance.choice(places)
    if chance.random() < 0.2:
        del holder[name]
    else:
        holder[name] = chance.choice(_WEIRD)
    return {**bent, "id": f"evt_{uuid.UUID(int=chance.getrandbits(128)).hex}"}


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(holder, dict | list):
        for name, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            yield holder, name
            yield from _places(value)


async def test_whatever_an_event_says_it_is_kept_and_settled_and_breaks_nothing(
    platform: Platform, shop: Shop
) -> None:
    payment = await shop.pay(10_000)
    assert (await shop.post(f"/payments/{payment['id']}/refund", {"amount": 1_000})).status == 201
    await platform.decided(await platform.disputed(payment, amount=2_000), "win")
    await platform.settled()
    hold, chance = await platform.hold_id(payment), random.Random(3)
    told = [event for event in await platform.outside.events() if hold in json.dumps(event)]
    bent = [_bent(chance.choice(told), chance) for _ in range(_BENT)]
    slots = asyncio.Semaphore(32)

    async def tell(event: JsonObject) -> int:
        async with slots:
            (answer,) = await platform.tell(event)
            return answer.status_code

    assert set(await asyncio.gather(*map(tell, bent))) == {200}
    ids = [event["id"] for event in bent]

    async def are_settled() -> bool:
        rows = await platform.rows(
            "select state from webhooks.webhook_events where stripe_event_id = any($1)", ids
        )
        return Counter(row["state"] for row in rows)["pending"] == 0 and len(rows) == len(ids)

    await eventually(are_settled)
    reasons = await platform.rows(
        "select distinct failure_reason, failure_message from webhooks.webhook_events"
        " where stripe_event_id = any($1) and state = 'failed'",
        ids,
    )
    assert {row["failure_reason"] for row in reasons} <= {"BODY_MALFORMED"}, reasons
    sums = await platform.rows(
        "select sum(amount)::bigint as total from ledger.ledger_entries group by currency"
    )
    assert [row["total"] for row in sums] == [0]
    assert (await shop.get(f"/payments/{payment['id']}")).body["amount_captured"] == 10_000


async def test_a_body_is_kept_byte_for_byte_whatever_its_spacing(platform: Platform) -> None:
    event = intent_event(note="ñ\u2028\t")
    body = json.dumps(event, indent=3, ensure_ascii=False).encode() + b"\n \n"
    secret = platform.accounts["stripe"].secret
    answer = await platform.post(Letter(body, signature(body, secret)))
    kept = await platform.until_event(answer.json()["webhook_event_id"], "unmatched")
    assert kept["raw_body"] == body
