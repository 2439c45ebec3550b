"""Payments that are asked for at the same time are read together: one snapshot, one set of queries.

As in group commit there is no timer: what is read next is whatever was asked for while the last
reading ran, so that whoever is alone does not wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from typing import Final

from services.kernel.errors import SwitchyardError
from services.kernel.ids import PaymentId
from services.orchestrator.domain.payment import Payment

_TOGETHER_MAX: Final = 100

Read = Callable[[Sequence[PaymentId]], Awaitable[Mapping[PaymentId, Payment]]]


class Loading:
    """Reads payments for whoever asks; each caller has a payment of its own."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._asked: list[tuple[PaymentId, asyncio.Future[Payment | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def find(self, payment_id: PaymentId) -> Payment | None:
        """The payment as it stands at some moment after this was asked."""
        answer: asyncio.Future[Payment | None] = asyncio.get_running_loop().create_future()
        self._asked.append((payment_id, answer))
        if self._reading is None:
            # In a context of its own, since it reads for others than who came first.
            self._reading = asyncio.create_task(
                self._read_on(), name="payments.loading", context=Context()
            )
        return await answer

    async def close(self) -> None:
        """Finish what is being read."""
        if self._reading is not None:
            await self._reading

    async def _read_on(self) -> None:
        try:
            while self._asked:
                await self._read_some(self._next())
        finally:
            self._reading = None

    def _next(self) -> Mapping[PaymentId, asyncio.Future[Payment | None]]:
        """Those that are read together; who asks for what another is given waits a turn."""
        chosen: dict[PaymentId, asyncio.Future[Payment | None]] = {}
        left = []
        for payment_id, answer in self._asked:
            if payment_id in chosen or len(chosen) == _TOGETHER_MAX:
                left.append((payment_id, answer))
            else:
                chosen[payment_id] = answer
        self._asked = left
        return chosen

    async def _read_some(self, asked: Mapping[PaymentId, asyncio.Future[Payment | None]]) -> None:
        try:
            found = await self._read(list(asked))
        except Exception as error:  # noqa: BLE001 -- each caller is told of it
            if len(asked) > 1 and not isinstance(error, SwitchyardError):
                # It may be one payment alone that cannot be read.
                for payment_id, answer in asked.items():
                    await self._read_some({payment_id: answer})
                return
            for answer in asked.values():
                if not answer.done():
                    answer.set_exception(error)
            return
        for payment_id, answer in asked.items():
            if not answer.done():
                answer.set_result(found.get(payment_id))
