"""Payments asked for at the same time are read together, and nobody pays for another's trouble."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from services.kernel.errors import Unavailable
from services.kernel.ids import PaymentId
from services.orchestrator.domain.payment import Payment
from services.orchestrator.store.loading import Loading
from tests.orchestrator.news import NOW, asked


class Shelf:
    """Reads slowly, and remembers what was asked for together."""

    def __init__(self) -> None:
        self.readings: list[Sequence[PaymentId]] = []
        self.unknown: set[PaymentId] = set()
        self.broken: set[PaymentId] = set()
        self.is_away = False

    async def read(self, payment_ids: Sequence[PaymentId]) -> Mapping[PaymentId, Payment]:
        self.readings.append(payment_ids)
        await asyncio.sleep(0.01)
        if self.is_away:
            raise Unavailable("the database is away")
        if self.broken.intersection(payment_ids):
            raise ValueError("it cannot be read")
        request, _ = asked()
        known = [each for each in payment_ids if each not in self.unknown]
        return {each: Payment.create(request, NOW) for each in known}


async def test_who_is_alone_is_read_for_at_once_and_the_others_together() -> None:
    shelf, ids = Shelf(), [PaymentId.new() for _ in range(250)]
    loading = Loading(shelf.read)
    shelf.unknown.add(ids[7])
    first = asyncio.create_task(loading.find(ids[0]))
    await asyncio.sleep(0)
    found = await asyncio.gather(*(loading.find(each) for each in ids[1:]))
    assert [len(each) for each in shelf.readings] == [1, 100, 100, 49]
    assert await first is not None
    assert [place for place, each in enumerate(found, 1) if each is None] == [7]
    await loading.find(ids[0])
    assert shelf.readings[-1] == [ids[0]]
    await loading.close()


async def test_two_who_ask_for_the_same_have_a_payment_each() -> None:
    shelf, payment_id = Shelf(), PaymentId.new()
    loading = Loading(shelf.read)
    one, other = await asyncio.gather(loading.find(payment_id), loading.find(payment_id))
    assert one is not None
    assert one is not other
    assert shelf.readings == [[payment_id], [payment_id]]


async def test_what_cannot_be_read_is_the_trouble_of_who_asked_for_it_alone() -> None:
    shelf, ids = Shelf(), [PaymentId.new() for _ in range(5)]
    shelf.broken.add(ids[2])
    loading = Loading(shelf.read)
    found = await asyncio.gather(*(loading.find(each) for each in ids), return_exceptions=True)
    assert [isinstance(each, ValueError) for each in found] == [False, False, True, False, False]
    assert all(isinstance(each, Payment) for each in (*found[:2], *found[3:]))


async def test_an_outage_is_told_to_all_at_once_and_over_when_it_is_over() -> None:
    shelf, ids = Shelf(), [PaymentId.new() for _ in range(5)]
    shelf.is_away = True
    loading = Loading(shelf.read)
    found = await asyncio.gather(*(loading.find(each) for each in ids), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    assert len(shelf.readings) == 1
    shelf.is_away = False
    assert await loading.find(ids[0]) is not None


async def test_who_no_longer_waits_takes_nothing_from_the_others() -> None:
    shelf, ids = Shelf(), [PaymentId.new() for _ in range(3)]
    loading = Loading(shelf.read)
    asking = [asyncio.create_task(loading.find(each)) for each in ids]
    await asyncio.sleep(0)
    asking[1].cancel()
    assert await asking[0] is not None
    assert await asking[2] is not None
    with pytest.raises(asyncio.CancelledError):
        await asking[1]
