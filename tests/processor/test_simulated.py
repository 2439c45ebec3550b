"""The simulated processor: the same bad day twice, bounded, and never in a benchmark's way."""

import asyncio
import time
from collections import Counter

import pytest
from pydantic import ValidationError

from services.kernel.clock import SystemClock
from services.kernel.context import PaymentMethod
from services.kernel.errors import InvalidArgument, Reason
from services.processor.adapters.simulated.account import SimulatedOptions
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.adapters.simulated.faults import Fault, Faults, SeededFaults
from services.processor.domain.attempt import Operation
from services.processor.domain.event import EventWindow
from tests.processor.conftest import behind_door, processor
from tests.processor.house import House, error_code, outcome

PERCENT = {Fault.RATE_LIMITED: 20.0, Fault.REPLY_LOST: 20.0, Fault.WRONG_AMOUNT: 10.0}


def drawn(faults: Faults) -> list[Fault | None]:
    """Three tries of each of 300 keys, the keys in turn."""
    keys = [f"key_{number}" for number in range(300)]
    return [faults.draw(Operation.AUTHORIZE, key) for _ in range(3) for key in keys]


def test_the_same_seed_brings_the_same_faults_and_another_seed_others() -> None:
    first = drawn(SeededFaults(1, PERCENT, max_keys=1_000))
    assert first == drawn(SeededFaults(1, PERCENT, max_keys=1_000))
    assert first != drawn(SeededFaults(2, PERCENT, max_keys=1_000))


def test_the_order_of_requests_does_not_change_what_befalls_them() -> None:
    forwards, backwards = (SeededFaults(1, PERCENT, max_keys=1_000) for _ in range(2))
    keys = [f"key_{number}" for number in range(300)]
    there = {key: forwards.draw(Operation.REFUND, key) for key in keys}
    back = {key: backwards.draw(Operation.REFUND, key) for key in reversed(keys)}
    assert there == back


def test_each_fault_strikes_about_its_share() -> None:
    counts = Counter(drawn(SeededFaults(1, PERCENT, max_keys=1_000)))
    assert 120 < counts[Fault.RATE_LIMITED] < 240
    assert 120 < counts[Fault.REPLY_LOST] < 240
    assert 45 < counts[Fault.WRONG_AMOUNT] < 135
    assert counts[None] > 360


async def test_under_chance_faults_every_payment_ends_as_it_was_carried_out() -> None:
    adapter = SimulatedAdapter(SystemClock(), SeededFaults(5, PERCENT, max_keys=10_000))
    one = processor("simulated", adapter, methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "simulated")
        outcomes: Counter[str] = Counter()
        for _ in range(200):
            attempt = house.attempt("authorize")
            result = await house.send(attempt)
            outcomes[outcome(result)] += 1
            for _ in range(50):
                if outcome(result) == "SUCCEEDED":
                    break
                busy = error_code(result) == "RATE_LIMITED"
                result = await (house.send(attempt) if busy else house.lookup(attempt))
            assert outcome(result) == "SUCCEEDED"
        assert min(outcomes[name] for name in ("SUCCEEDED", "FAILED", "UNKNOWN")) > 10
        assert len(await house.events(page_size=100)) == 200


@pytest.mark.parametrize("place", ["", "simevt_", "simevt_x", "simevt_1\0", "evt_1"])
async def test_a_page_of_events_that_begins_nowhere_is_refused(place: str) -> None:
    adapter = SimulatedAdapter(SystemClock(), SeededFaults(0, {}, max_keys=1), max_payments=10)
    with pytest.raises(InvalidArgument) as refusal:
        await adapter.list_events(EventWindow(), place, 10)
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


async def test_the_oldest_payments_are_forgotten_first() -> None:
    adapter = SimulatedAdapter(SystemClock(), SeededFaults(0, {}, max_keys=1), max_payments=10)
    one = processor("simulated", adapter, methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "simulated")
        attempts = [house.attempt("authorize") for _ in range(11)]
        for attempt in attempts:
            await house.send(attempt)
        assert outcome(await house.lookup(attempts[0])) == "UNKNOWN"
        assert outcome(await house.lookup(attempts[1])) == "SUCCEEDED"


async def test_it_takes_as_long_as_it_is_told_to() -> None:
    adapter = SimulatedAdapter(SystemClock(), SeededFaults(0, {}, max_keys=1), latency_ms=100)
    one = processor("simulated", adapter, methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "simulated")
        result = await house.send(house.attempt("authorize"))
        assert result.latency_ms >= 95


def test_its_options_refuse_what_makes_no_sense() -> None:
    for wrong in ({"latency_ms": -1}, {"faults_percent": {"reply_lost": 101}}, {"colour": "red"}):
        with pytest.raises(ValidationError):
            SimulatedOptions.model_validate(wrong)


async def test_it_carries_out_thousands_of_payments_a_second() -> None:
    adapter = SimulatedAdapter(SystemClock(), SeededFaults(0, {}, max_keys=1))
    one = processor("simulated", adapter, methods=[PaymentMethod.CARD])
    async with behind_door([one]) as stub:
        house = House(stub, "simulated")
        attempts = [house.attempt("authorize") for _ in range(1_000)]
        started_at = time.monotonic()
        await asyncio.gather(*(house.send(attempt) for attempt in attempts))
        # Far below what it does, so that a machine with much else to do still passes.
        assert time.monotonic() - started_at < 10
