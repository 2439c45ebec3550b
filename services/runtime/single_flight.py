"""One reading for all who want the same at once: a cold cache sends no crowd to its source."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class SingleFlight(Generic[_Key, _Value]):
    """Readings under way, by what they read.

    Who joins gets what was asked for earlier, so a key has to name all that must not be older.
    A reading goes on when who began it is gone, and should therefore have a timeout of its own.
    """

    def __init__(self) -> None:
        self._flights: dict[_Key, asyncio.Task[_Value]] = {}

    async def join(self, key: _Key, read: Callable[[], Awaitable[_Value]]) -> _Value:
        """What the reading under way comes to, its error included; begun if there is none."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fly(key, read), name="single flight")
            self._flights[key] = flight
            flight.add_done_callback(_take_note)
        return await asyncio.shield(flight)

    async def _fly(self, key: _Key, read: Callable[[], Awaitable[_Value]]) -> _Value:
        try:
            return await read()
        finally:
            del self._flights[key]


def _take_note(flight: "asyncio.Task[_Value]") -> None:
    """Look at the error, of which asyncio complains where everybody has gone meanwhile."""
    if not flight.cancelled():
        flight.exception()
