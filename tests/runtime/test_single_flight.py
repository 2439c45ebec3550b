"""What many want at once is read once, and whoever leaves leaves the others their answer."""

import asyncio
from contextlib import suppress

import pytest

from services.runtime.single_flight import SingleFlight


class _Source:
    """Answers when it is let go, with how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = asyncio.Event()

    async def read(self) -> int:
        self.asked += 1
        asked = self.asked
        await self.let_go.wait()
        return asked


async def _joined(
    flights: SingleFlight[str, int], source: _Source, keys: str
) -> list["asyncio.Task[int]"]:
    tasks = [asyncio.create_task(flights.join(key, source.read)) for key in keys]
    async with asyncio.timeout(30):
        while source.asked < len(set(keys)):  # noqa: ASYNC110 -- the source tells nobody
            await asyncio.sleep(0)
    return tasks


async def test_all_who_want_the_same_at_once_share_one_reading() -> None:
    flights, source = SingleFlight[str, int](), _Source()
    tasks = await _joined(flights, source, "aabab")
    source.let_go.set()
    assert await asyncio.gather(*tasks) == [1, 1, 2, 1, 2]


async def test_who_comes_afterwards_has_it_read_anew() -> None:
    flights, source = SingleFlight[str, int](), _Source()
    source.let_go.set()
    assert [await flights.join("a", source.read) for _ in range(2)] == [1, 2]


async def test_the_first_one_may_leave_without_taking_the_answer_along() -> None:
    flights, source = SingleFlight[str, int](), _Source()
    first, other = await _joined(flights, source, "aa")
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    source.let_go.set()
    assert await other == 1


async def test_an_error_is_everybodys_and_is_not_kept() -> None:
    flights, source = SingleFlight[str, int](), _Source()

    async def fail() -> int:
        await source.read()
        raise LookupError("gone")

    both = [flights.join("a", fail), flights.join("a", fail)]
    source.let_go.set()
    found = await asyncio.gather(*both, return_exceptions=True)
    assert [str(each) for each in found] == ["gone", "gone"]
    assert source.asked == 1
    with pytest.raises(LookupError):
        await flights.join("a", fail)
    assert source.asked == 2
