"""Who goes first where both happen in one process: a delivery is answered before one is applied.

A sender waits for its answer and gives up after a while; a payment does not notice a second. So as
long as many deliveries are in hand, applying gives way, but never for long.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_MANY: Final = 16


class Traffic:
    """The deliveries that are in hand in this process."""

    def __init__(self) -> None:
        self._in_hand = 0
        self._ebbed = asyncio.Event()
        self._ebbed.set()

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """While a delivery is in hand."""
        self._in_hand += 1
        if self._in_hand >= _MANY:
            self._ebbed.clear()
        try:
            yield
        finally:
            self._in_hand -= 1
            if self._in_hand < _MANY:
                self._ebbed.set()

    async def give_way(self, at_most_seconds: float) -> None:
        """Wait until few deliveries are in hand, but not for longer than that."""
        if at_most_seconds > 0 and not self._ebbed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most_seconds):
                    await self._ebbed.wait()
