"""Payments while things go wrong at the processor: how many succeed, and who believes what.

A payment that is under way claims nothing yet. One that the platform calls captured, authorized,
failed or voided makes a claim, and the processor's own record must not say otherwise. The platform
is read first: what it claims has happened by the time that the record is read.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from oracle import Record, read_sandbox
from services.runtime.database import Connection
from tests.load.caller import Caller, side_by_side
from tests.load.measured import Measured, Sizes
from tests.running_platform import ACCOUNTS

_PAYERS: Final = 32
_LOOK_SECONDS: Final = 0.5
_QUIET_SECONDS: Final = 120.0
# A breaker that many failures in a row have opened lets a first try through after a minute.
_BREAKER_SECONDS: Final = 90.0
_SUCCEEDING: Final = 0.95
_AGREEING: Final = 0.999
_FAULTS: Final = (
    {"kind": "reply_lost", "operation": "payment_intents.*", "probability": 0.03},
    {"kind": "server_error", "operation": "payment_intents.confirm", "probability": 0.01},
    {"kind": "rate_limit", "operation": "*", "probability": 0.02},
    {"kind": "reset", "operation": "payment_intents.*", "probability": 0.01},
    {"kind": "slow", "operation": "*", "probability": 0.03, "delay_ms": 150},
)
_CAPTURED: Final = """
select count(*), count(*) filter (
           where exists (
               select from payments.steps as step
                where step.payment_id = payment.id and step.processor_id = 'stripe'
           )
       )
  from payments.payments as payment
 where state = 'captured' and id = any($1::uuid[])
"""
_CLAIMS: Final = """
select payment.state, step.processor_reference as hold
  from payments.payments as payment join payments.steps as step on step.payment_id = payment.id
 where step.processor_id = 'stripe' and step.processor_reference is not null
"""
# What a claim allows the processor to say of the hold.
_ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "captured": frozenset({"succeeded"}),
    "refunded": frozenset({"succeeded"}),
    "disputed": frozenset({"succeeded"}),
    # It may be captured between the two looks.
    "authorized": frozenset({"requires_capture", "succeeded"}),
    "voided": frozenset({"canceled"}),
    "failed": frozenset({"canceled", "requires_payment_method", "requires_confirmation"}),
}


@dataclass
class Looks:
    """What was seen each time that both were looked at."""

    shares: list[float] = field(default_factory=list)

    async def look_until(self, over: asyncio.Event, caller: Caller, owner: Connection) -> None:
        while not over.is_set():
            claims, contradicted, _ = await compare(caller, owner)
            if claims:
                self.shares.append(1 - contradicted / claims)
            await asyncio.sleep(_LOOK_SECONDS)


async def faults(caller: Caller, owner: Connection, sizes: Sizes) -> list[Measured]:
    """Good cards, an unreliable processor."""
    count, looks, over = sizes.faulty, Looks(), asyncio.Event()
    for fault in _FAULTS:
        await caller.sandbox("POST", "/_sandbox/faults", json=fault)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(looks.look_until(over, caller, owner))
        answers = await side_by_side(lambda _: caller.pay_surely(), range(count), at_once=_PAYERS)
        over.set()
    await caller.sandbox("DELETE", "/_sandbox/faults")
    ids = [each.body["id"] for each in answers if "id" in each.body]
    captured, there, claims, contradicted = await _at_rest(caller, owner, ids)
    await _until_it_is_asked_again(caller)
    lowest = min(looks.shares, default=0.0)
    return [
        Measured(
            f"{count} payments under faults: more than 95 % succeed",
            f"{captured / count:.2%} captured",
            captured / count > _SUCCEEDING,
            needs_quiet=True,
        ),
        Measured(
            "the platform's state is the processor's, at any moment: 99.9 %",
            f"{lowest:.3%} at the lowest of {len(looks.shares)} looks",
            lowest >= _AGREEING,
        ),
        Measured(
            "the platform's state is the processor's, once all is quiet: 100 %",
            f"{claims - contradicted} of {claims}",
            contradicted == 0 and claims >= there > 0,
        ),
    ]


async def compare(caller: Caller, owner: Connection) -> tuple[int, int, int]:
    """How many claims there are, how many are contradicted, and how many payments are under way."""
    rows = await owner.fetch(_CLAIMS)
    record = await read_sandbox(caller.sandbox_url, ACCOUNTS)
    return _compared(rows, record)


def _compared(rows: Any, record: Record) -> tuple[int, int, int]:
    states = {hold.id: hold.state for hold in record.holds}
    claims = [row for row in rows if row["state"] in _ALLOWED]
    contradicted = sum(states.get(row["hold"]) not in _ALLOWED[row["state"]] for row in claims)
    under_way = sum(row["state"] == "confirming" for row in rows)
    return len(claims), contradicted, under_way


async def _at_rest(caller: Caller, owner: Connection, ids: list[str]) -> tuple[int, int, int, int]:
    """How things stand when nothing is under way any more.

    Captured of these payments, those of them at the unreliable processor, claims, contradictions.
    """
    give_up_at = time.monotonic() + _QUIET_SECONDS
    uuids = [each.removeprefix("pay_") for each in ids]
    while True:
        [(captured, there)] = await owner.fetch(_CAPTURED, uuids)
        claims, contradicted, under_way = await compare(caller, owner)
        if not (under_way or contradicted) or time.monotonic() > give_up_at:
            # One that never came to rest counts as a contradiction: 100 % is all of them.
            return captured, there, claims + under_way, contradicted + under_way
        await asyncio.sleep(_LOOK_SECONDS)


async def _until_it_is_asked_again(caller: Caller) -> None:
    """What comes after this has no other processor in mind."""
    give_up_at = time.monotonic() + _BREAKER_SECONDS
    while True:
        answer = await caller.pay_surely()
        if answer.body["result"]["step_results"][0]["processor_id"] == "stripe":
            return
        assert time.monotonic() < give_up_at, answer
        await asyncio.sleep(_LOOK_SECONDS)
