"""Webhooks in a burst and in a stream, each the one thing that lets a payment go on.

The sandbox's own deliveries are held back, and its events are delivered from here instead: signed,
shuffled, three in ten twice.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from services.runtime.database import Connection
from tests.load.caller import CHALLENGED, Answer, Caller, side_by_side
from tests.load.measured import Measured, Sizes, percentile
from tests.running_platform import ACCOUNTS

_REPEATED: Final = 0.3
_PAYERS: Final = 48
_SENDERS: Final = 128
_ANSWERED_WITHIN_SECONDS: Final = 1.0
_APPLIED_WITHIN_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2
_EVENT: Final = "payment_intent.succeeded"
_PAGE: Final = 100

_STANDING: Final = """
select count(*) filter (where state = 'captured') as captured
  from payments.payments where id = any($1::uuid[])
"""
_RECEIVED: Final = """
select count(*) as stored, count(*) filter (where state = 'processed') as processed,
       coalesce(max(extract(epoch from processed_at - created_at)), 0)::float8 as longest
  from webhooks.webhook_events where stripe_event_id = any($1::text[])
"""
_APPLIED: Final = """
select count(*) as applied from payments.applied_events
  where disposition = 'applied' and payment_id = any($1::uuid[])
"""


class Challenged:
    """Payments whose customers have proved who they are, and nobody has told us yet."""

    def __init__(self, payment_ids: Sequence[str], events: Sequence[Any]) -> None:
        self.uuids = [each.removeprefix("pay_") for each in payment_ids]
        self.events = events

    @property
    def event_ids(self) -> list[str]:
        return [each["id"] for each in self.events]


async def burst(caller: Caller, owner: Connection, sizes: Sizes, chance: Random) -> list[Measured]:
    """All at once: nothing lost, nothing twice, and answered soon."""
    count = round(sizes.burst * (1 - _REPEATED))
    challenged = await _challenged(caller, count)
    sent = [*challenged.events]
    sent += chance.choices(challenged.events, k=sizes.burst - count)
    chance.shuffle(sent)
    began = time.perf_counter()
    answers = await side_by_side(lambda event: _deliver(caller, event), sent, at_once=_SENDERS)
    received_seconds = time.perf_counter() - began
    took_seconds = await _all_captured(owner, challenged, began)
    return await _judged(
        f"{sizes.burst} webhooks at once, 30 % of them twice, shuffled",
        f"received in {received_seconds:.1f} s, all captured after {took_seconds:.1f} s",
        owner, challenged, answers,
    )  # fmt: skip


async def stream(caller: Caller, owner: Connection, sizes: Sizes) -> list[Measured]:
    """So many a second for so long."""
    a_second, seconds = sizes.stream_per_second, sizes.stream_seconds
    challenged = await _challenged(caller, a_second * seconds)
    began = time.perf_counter()

    async def send(place: int) -> Answer:
        await asyncio.sleep(began + place / a_second - time.perf_counter())
        return await _deliver(caller, challenged.events[place])

    answers = await asyncio.gather(*map(send, range(len(challenged.events))))
    took_seconds = await _all_captured(owner, challenged, began)
    return await _judged(
        f"{a_second} webhooks a second for {seconds} s",
        f"all captured {took_seconds - seconds:.1f} s after the last",
        owner, challenged, answers,
    )  # fmt: skip


async def _challenged(caller: Caller, count: int) -> Challenged:
    """So many payments, and for each the event that lets it go on."""
    # Nothing is told by the sandbox itself; its events are there to be read all the same.
    await caller.sandbox("POST", "/_sandbox/webhooks", json={"drop": 1.0})

    async def begin(_: int) -> tuple[str, str]:
        answer = await caller.pay_surely(**CHALLENGED)
        assert answer.status == 201, answer
        page = answer.body["next_action"]["redirect_url"]
        await caller.click(page)
        return answer.body["id"], page

    begun = await side_by_side(begin, range(count), at_once=_PAYERS)
    payment_ids = [payment_id for payment_id, _ in begun]
    events = await _events(caller, frozenset(payment_ids))
    await caller.sandbox("POST", "/_sandbox/webhooks", json={})
    return Challenged(payment_ids, events)


async def _events(caller: Caller, payment_ids: frozenset[str]) -> list[Any]:
    """The events that say of these payments that their holds can be taken.

    What faults have left in doubt before may still be told of meanwhile.
    """
    headers = {"Authorization": f"Bearer {ACCOUNTS['stripe']}"}
    found: list[Any] = []
    after = ""
    while len(found) < len(payment_ids):
        path = f"/v1/events?type={_EVENT}&limit={_PAGE}{after}"
        page = (await caller.sandbox("GET", path, headers=headers))["data"]
        assert page, f"there are only {len(found)} of {len(payment_ids)} events"
        found += [each for each in page if _payment_of(each) in payment_ids]
        after = f"&starting_after={page[-1]['id']}"
    return found


def _payment_of(event: Any) -> str:
    return str(event["data"]["object"]["metadata"].get("switchyard_payment_id"))


async def _deliver(caller: Caller, event: Any) -> Answer:
    body, seconds = json.dumps(event).encode(), int(time.time())
    signed = hmac.new(caller.webhook_secret.encode(), b"%d.%b" % (seconds, body), "sha256")
    return await caller.deliver(body, f"t={seconds},v1={signed.hexdigest()}")


async def _all_captured(owner: Connection, challenged: Challenged, began: float) -> float:
    """How long after a moment all was processed and captured, or given up on."""
    give_up_at = time.perf_counter() + 3 * _APPLIED_WITHIN_SECONDS
    while time.perf_counter() < give_up_at:
        standing = await owner.fetchrow(_STANDING, challenged.uuids)
        received = await owner.fetchrow(_RECEIVED, challenged.event_ids)
        assert standing is not None
        assert received is not None
        if standing["captured"] == received["processed"] == len(challenged.uuids):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return time.perf_counter() - began


async def _judged(
    aim: str, how: str, owner: Connection, challenged: Challenged, answers: Sequence[Answer]
) -> list[Measured]:
    count = len(challenged.uuids)
    received = await owner.fetchrow(_RECEIVED, challenged.event_ids)
    standing = await owner.fetchrow(_STANDING, challenged.uuids)
    applied = await owner.fetchrow(_APPLIED, challenged.uuids)
    assert received is not None
    assert standing is not None
    assert applied is not None
    p99 = percentile([each.seconds for each in answers], 99)
    refused = sum(each.status != 200 for each in answers)
    is_whole = received["stored"] == received["processed"] == standing["captured"] == count
    return [
        Measured(
            f"{aim}: nothing lost, nothing twice",
            f"{received['stored']} stored, {received['processed']} processed, {applied['applied']}"
            f" applied, {standing['captured']} of {count} captured, {refused} refused; {how}",
            is_whole and applied["applied"] == count and not refused,
        ),
        Measured(
            f"{aim}: applied within {_APPLIED_WITHIN_SECONDS:.0f} s",
            f"at most {received['longest']:.1f} s",
            received["processed"] == count and received["longest"] < _APPLIED_WITHIN_SECONDS,
        ),
        Measured(
            f"{aim}: answered within {_ANSWERED_WITHIN_SECONDS:.0f} s (p99)",
            f"{p99 * 1000:.0f} ms",
            p99 < _ANSWERED_WITHIN_SECONDS,
            needs_quiet=True,
        ),
    ]
