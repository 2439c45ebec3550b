"""Fewer connections to the database than callers: each waits, bounded, or hears when to come."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Final

from tests.load.caller import Answer, Caller, order
from tests.load.measured import Measured, Sizes
from tests.load.narrow import CONNECTIONS, PATIENCE_SECONDS

# How much longer than the patience an answer may take: a payment waits for several connections, one
# after another, and for its turn at everything else.
_BOUND_SECONDS: Final = 30.0
_COME_AGAIN: Final = frozenset({409, 503})
# So many look on, each at so many pages at a time.
_LOOKERS: Final = 10
_ASKING: Final = 10


async def scarcity(caller: Caller, sizes: Sizes) -> list[Measured]:
    """All pay at once, others look on; each payment is made in the end."""
    count = sizes.scarce
    seen: list[Answer] = []

    async def pay() -> bool:
        key, wanted = str(uuid.uuid4()), order()
        while True:
            answer = await caller.post("/payments", wanted, key=key)
            seen.append(answer)
            if answer.status not in _COME_AGAIN:
                return answer.status == 201
            await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))

    async def look_on(over: asyncio.Event) -> None:
        while not over.is_set():
            seen.extend(await asyncio.gather(*(caller.get("/payments") for _ in range(_ASKING))))

    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_LOOKERS):
            tasks.create_task(look_on(over))
        paid = sum(await asyncio.gather(*(pay() for _ in range(count))))
        over.set()
    return [_waited(seen), _made(paid, count)]


def _waited(seen: Sequence[Answer]) -> Measured:
    refused = [each for each in seen if each.status == 503]
    told = sum("Retry-After" in each.headers for each in refused)
    others = sum(each.status not in (200, 201, 409, 503) for each in seen)
    longest = max(each.seconds for each in seen)
    return Measured(
        f"{CONNECTIONS} connections for all: who waits {PATIENCE_SECONDS} s for one in vain is"
        " answered 503 with Retry-After",
        f"{len(seen)} answered, {len(refused)} of them 503, {told} with Retry-After, {others}"
        f" otherwise; the longest took {longest:.1f} s",
        told == len(refused) > 0 and not others and longest < _BOUND_SECONDS,
    )


def _made(paid: int, count: int) -> Measured:
    aim = f"{CONNECTIONS} connections for all: no payment breaks"
    return Measured(aim, f"{paid} of {count} captured", paid == count)
