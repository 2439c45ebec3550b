"""Deliveries go first: applying waits while many are in hand, but never for long."""

import asyncio
import time
from contextlib import ExitStack

from services.webhooks.service.traffic import Traffic


async def _waited_seconds(traffic: Traffic, at_most_seconds: float) -> float:
    began = time.perf_counter()
    await traffic.give_way(at_most_seconds)
    return time.perf_counter() - began


async def test_a_few_deliveries_hold_nothing_up() -> None:
    traffic = Traffic()
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(traffic.receiving())
        assert await _waited_seconds(traffic, 30) < 10


async def test_many_are_let_go_first_but_not_for_ever() -> None:
    traffic = Traffic()
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(traffic.receiving())
        assert await _waited_seconds(traffic, 0.2) >= 0.19
        assert await _waited_seconds(traffic, 0) < 0.2


async def test_who_waits_goes_on_when_they_ebb_away() -> None:
    traffic = Traffic()
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(traffic.receiving())
        waiting = asyncio.create_task(_waited_seconds(traffic, 60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert await waiting < 30
