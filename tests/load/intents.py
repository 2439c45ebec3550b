"""A thousand intents at once, and a hundred requests under one key."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from oracle import read_sandbox
from tests.load.caller import Answer, Caller, order
from tests.load.measured import Measured, Sizes
from tests.running_platform import ACCOUNTS

_LOOK_SECONDS = 0.2


async def intents(caller: Caller, sizes: Sizes) -> list[Measured]:
    """Each is made once, and none is refused."""
    count = sizes.intents
    answers = await asyncio.gather(
        *(caller.post("/payment_intents", order()) for _ in range(count))
    )
    statuses = Counter(each.status for each in answers)
    ids = {each.body.get("id") for each in answers}
    slowest = max(each.seconds for each in answers)
    return [
        Measured(
            f"{count} intents at once: no error, no duplicate",
            f"{_told(statuses)}; {len(ids)} ids; the slowest took {slowest:.2f} s",
            statuses == {201: count} and len(ids) == count,
        )
    ]


async def same_key(caller: Caller, sizes: Sizes) -> list[Measured]:
    """One charge, whoever of them is first, and one answer for all."""
    count, key, wanted = sizes.same_key, "the same for all", order()
    before = await _charges(caller)
    answers = await asyncio.gather(
        *(caller.post("/payments", wanted, key=key) for _ in range(count))
    )
    last = await _decided(caller, wanted, key)
    charges = await _charges(caller) - before
    statuses = Counter(each.status for each in answers)
    told = {repr(each.body) for each in (*answers, last) if each.status != 409}
    is_held = charges == 1 and len(told) == 1 and set(statuses) <= {201, 409}
    return [
        Measured(
            f"{count} requests at once under one key: one charge, identical answers or 409",
            f"{charges} charge, {_told(statuses)}, {len(told)} different answer",
            is_held and last.status == 201,
        )
    ]


async def _decided(caller: Caller, wanted: Mapping[str, Any], key: str) -> Answer:
    """The answer under this key, once none is in flight any more."""
    while True:
        answer = await caller.post("/payments", wanted, key=key)
        if answer.status != 409:
            return answer
        await asyncio.sleep(_LOOK_SECONDS)


async def _charges(caller: Caller) -> int:
    record = await read_sandbox(caller.sandbox_url, ACCOUNTS)
    return sum(hold.is_taken for hold in record.holds)


def _told(statuses: Counter[int]) -> str:
    return ", ".join(f"{count} answered {status}" for status, count in sorted(statuses.items()))
