"""Payments asked for at the same time are read together, and nobody pays for another's trouble."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import pytest

from services.kernel.errors import Unavailable
from services.kernel.ids import PaymentId
from services.orchestrator.domain.payment import Payment
from services.orchestrator.store.loading import Build, Loading
from tests.orchestrator.news import NOW, asked


class Shelf:
    """Reads slowly, and remembers what was asked for together."""

    def __init__(self) -> None:
        self.readings: list[Sequence[PaymentId]] = []
        self.unknown: set[PaymentId] = set()
        self.broken: set[PaymentId] = set()
        self.is_away = False

    async def read(self, payment_ids: Sequence[PaymentId]) -> Mapping[PaymentId, Build]:
        self.readings.append(payment_ids)
        await asyncio.sleep(0.01)
        if self.is_away:
            raise Unavailable("the database is away")
        known = [each for each in payment_ids if each not in self.unknown]
        return {each: partial(self._build, each) for each in known}

    def _build(self, payment_id: PaymentId) -> Payment:
        if payment_id in self.broken:
            raise ValueError("it makes no sense")
        request, _ = asked()
        return Payment.create(request, NOW)


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


async def test_all_who_ask_for_the_same_have_a_payment_each_of_one_reading() -> None:
    shelf, payment_id = Shelf(), PaymentId.new()
    loading = Loading(shelf.read)
    found = await asyncio.gather(*(loading.find(payment_id) for _ in range(50)))
    assert all(isinstance(each, Payment) for each in found)
    assert len({id(each) for each in found}) == 50
    assert shelf.readings == [[payment_id]]


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


async def test_a_reading_that_hangs_is_given_up_and_the_next_one_made() -> None:
    shelf, ids = Shelf(), [PaymentId.new() for _ in range(2)]
    hangs = asyncio.Event()

    async def read(payment_ids: Sequence[PaymentId]) -> Mapping[PaymentId, Build]:
        if not hangs.is_set():
            hangs.set()
            await asyncio.Event().wait()
        return await shelf.read(payment_ids)

    loading = Loading(read, seconds=0.2)
    with pytest.raises(Unavailable):
        await loading.find(ids[0])
    assert await loading.find(ids[1]) is not None


async def test_who_has_gone_is_not_read_for() -> None:
    shelf, ids = Shelf(), [PaymentId.new() for _ in range(2)]
    loading = Loading(shelf.read)
    first = asyncio.create_task(loading.find(ids[0]))
    gone = [asyncio.create_task(loading.find(ids[1])) for _ in range(200)]
    await asyncio.sleep(0)
    for each in gone:
        each.cancel()
    await first
    await loading.close()
    assert [list(each) for each in shelf.readings if each] == [[ids[0]]]
