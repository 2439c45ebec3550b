"""Payments that are asked for at the same time are read together: one snapshot, one set of queries.

As in group commit there is no timer: what is read next is whatever was asked for while the last
reading ran, so that whoever is alone does not wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from typing import Final

from services.kernel.errors import Reason, Unavailable
from services.kernel.ids import PaymentId
from services.orchestrator.domain.payment import Payment

_TOGETHER_MAX: Final = 100
# One reading that hangs must not hold up everybody's.
_READ_SECONDS: Final = 20.0

Build = Callable[[], Payment]
"""Makes a payment of what was read of it: another one each time, as its owner may change it."""

Read = Callable[[Sequence[PaymentId]], Awaitable[Mapping[PaymentId, Build]]]

_Waiting = list[asyncio.Future[Payment | None]]


class Loading:
    """Reads payments for whoever asks; each caller has a payment of its own."""

    def __init__(self, read: Read, *, seconds: float = _READ_SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._asked: dict[PaymentId, _Waiting] = {}
        self._reading: asyncio.Task[None] | None = None

    async def find(self, payment_id: PaymentId) -> Payment | None:
        """The payment as it stands at some moment after this was asked."""
        answer: asyncio.Future[Payment | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(payment_id, []).append(answer)
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
                chosen = list(self._asked)[:_TOGETHER_MAX]
                taken = {each: self._asked.pop(each) for each in chosen}
                asked = {each: w for each, w in taken.items() if _is_awaited(w)}
                if asked:
                    await self._read_some(asked)
        finally:
            self._reading = None

    async def _read_some(self, asked: Mapping[PaymentId, _Waiting]) -> None:
        try:
            found = await self._read_in_time(list(asked))
        except Exception as error:  # noqa: BLE001 -- each caller is told of it
            for waiting in asked.values():
                _refuse(waiting, error)
            return
        for payment_id, waiting in asked.items():
            _answer(waiting, found.get(payment_id))

    async def _read_in_time(self, payment_ids: Sequence[PaymentId]) -> Mapping[PaymentId, Build]:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read(payment_ids)
        except TimeoutError as error:
            problem = "the database does not answer"
            raise Unavailable(problem, reason=Reason.DATABASE_UNAVAILABLE) from error


def _answer(waiting: _Waiting, build: Build | None) -> None:
    try:
        for answer in waiting:
            if not answer.done():
                answer.set_result(None if build is None else build())
    except Exception as error:  # noqa: BLE001 -- one payment that makes no sense is no other's trouble
        _refuse(waiting, error)


def _is_awaited(waiting: _Waiting) -> bool:
    return not all(answer.done() for answer in waiting)


def _refuse(waiting: _Waiting, error: Exception) -> None:
    for answer in waiting:
        if not answer.done():
            answer.set_exception(error)
