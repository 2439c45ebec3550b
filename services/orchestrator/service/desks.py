"""All the payments that this process works on, and the callers who wait for them."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, Protocol

from services.kernel.errors import Reason, Unavailable
from services.kernel.ids import MerchantId, PaymentId
from services.orchestrator.domain.command import Answer, Command, Decided, KeyRecord
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.quota import Draws
from services.orchestrator.domain.saving import Lease, Saved, Written
from services.orchestrator.service.change import Change
from services.orchestrator.service.desk import Desk
from services.orchestrator.service.means import Means

_FIRST_LOOK_SECONDS: Final = 0.05
_LONGEST_LOOK_SECONDS: Final = 1.0
# From the look that waited so long on, what was left to any worker is carried out here.
_LEFT_ALONE_SECONDS: Final = 0.2

Key = tuple[MerchantId, str]


class Tasks(Protocol):
    """Where work goes on when the call that began it is over."""

    def start(self, work: Callable[[], Awaitable[None]], words: Mapping[str, str]) -> None:
        """Run the work to its end; the words are what its log lines and spans are about."""
        ...


class Callers:
    """Who waits in this process for what becomes of a call."""

    def __init__(self) -> None:
        self._waiting: dict[Key, list[asyncio.Future[Answer]]] = defaultdict(list)

    @contextmanager
    def waiting(self, command: Command) -> Iterator["asyncio.Future[Answer]"]:
        """A future that the answer to a command comes to."""
        key = (command.merchant_id, command.idempotency_key)
        told = asyncio.get_running_loop().create_future()
        self._waiting[key].append(told)
        try:
            yield told
        finally:
            self._waiting[key].remove(told)
            if not self._waiting[key]:
                del self._waiting[key]

    def tell(self, decided: Decided) -> None:
        """Tell whoever waits what was decided."""
        call = decided.call
        for told in self._waiting.get((call.merchant_id, call.idempotency_key), ()):
            if not told.done():
                told.set_result(decided.answer)

    def dismiss(self) -> None:
        """Send everybody away, since nothing more is decided in this process."""
        for waiting in self._waiting.values():
            for told in waiting:
                if not told.done():
                    told.set_exception(
                        Unavailable(
                            "shutting down; what was begun is taken up again",
                            reason=Reason.SHUTTING_DOWN,
                        )
                    )


class Desks:
    """A desk for each payment that something is done to, as long as that lasts."""

    def __init__(self, means: Means, tasks: Tasks, callers: Callers) -> None:
        self._means = means
        self._tasks = tasks
        self._callers = callers
        self._desks: dict[PaymentId, Desk] = {}

    @property
    def leases(self) -> Sequence[Lease]:
        """What is driven here."""
        return [Lease(each.payment_id, each.epoch) for each in self._desks.values() if each.epoch]

    async def begin(
        self, payment: Payment, command: Command, draws: Draws, *, drives: bool, at_once: bool
    ) -> Answer:
        """Commit a new payment under its key, and return what its caller is told."""
        desk = Desk(self._means, payment.id, payment=payment, closed=self._closed)
        change = Change(_nothing, command, draws=draws, drives=drives, answers_at_once=at_once)
        self._open(desk, change, _words(command))
        return await self._answer(payment.id, change, command)

    async def order(self, payment_id: PaymentId, command: Command, change: Change) -> Answer:
        """Have an order carried out for a payment, and return what its caller is told."""
        change = replace(change, command=command, merchant_id=command.merchant_id)
        self._put(payment_id, change)
        return await self._answer(payment_id, change, command)

    async def change(self, payment_id: PaymentId, change: Change) -> Written:
        """Have something done to a payment, and return what committing it came to."""
        self._put(payment_id, change)
        return await asyncio.shield(change.done)

    def drive(self, lease: Lease) -> None:
        """Carry on with a payment that was taken up."""
        desk = self._desks.get(lease.payment_id)
        if desk is not None:
            desk.take_over(lease.epoch)
        else:
            self._open(
                Desk(self._means, lease.payment_id, epoch=lease.epoch, closed=self._closed),
                None,
                {},
            )

    def overtaken(self, leases: Sequence[Lease]) -> None:
        """Somebody else drives these payments now."""
        for lease in leases:
            desk = self._desks.get(lease.payment_id)
            if desk is not None and desk.epoch == lease.epoch:
                desk.overtaken()

    def _put(self, payment_id: PaymentId, change: Change) -> None:
        desk = self._desks.get(payment_id)
        if desk is not None:
            desk.put(change)
        else:
            desk = Desk(self._means, payment_id, closed=self._closed)
            self._open(desk, change, _words(change.command))

    def _open(self, desk: Desk, change: Change | None, words: Mapping[str, str]) -> None:
        self._desks[desk.payment_id] = desk
        if change is not None:
            desk.put(change)
        self._tasks.start(desk.work, {**words, "payment_id": desk.payment_id})

    def _closed(self, desk: Desk) -> None:
        if self._desks.get(desk.payment_id) is desk:
            del self._desks[desk.payment_id]

    async def _answer(self, payment_id: PaymentId, change: Change, command: Command) -> Answer:
        with self._callers.waiting(command) as told:
            written = await asyncio.shield(change.done)
            if isinstance(written, Answer):
                return written
            assert isinstance(written, Saved), "an order is no event"
            return await self._decided(payment_id, change, command, told)

    async def _decided(
        self,
        payment_id: PaymentId,
        change: Change,
        command: Command,
        told: "asyncio.Future[Answer]",
    ) -> Answer:
        """What is decided here, or meanwhile by another process that drives the payment."""
        pause_seconds = _FIRST_LOOK_SECONDS
        while True:
            done, _ = await asyncio.wait((told,), timeout=pause_seconds)
            if done:
                return told.result()
            pause_seconds = min(pause_seconds * 2, _LONGEST_LOOK_SECONDS)
            if self._is_driven_here(payment_id):
                # Nobody else decides then, and under load every look would make all wait longer.
                continue
            record = await self._look(command)
            if record is not None and record.answer is not None:
                return replace(record.answer, replayed=False)
            if not change.drives and pause_seconds > _LEFT_ALONE_SECONDS:
                await self._take_up(payment_id)

    def _is_driven_here(self, payment_id: PaymentId) -> bool:
        desk = self._desks.get(payment_id)
        return desk is not None and desk.epoch > 0

    async def _take_up(self, payment_id: PaymentId) -> None:
        """Drive what nobody drives: the bus, which tells workers of it, may be slow or away."""
        with suppress(Unavailable):
            lease = await self._means.store.take(payment_id)
            if lease is not None:
                self.drive(lease)

    async def _look(self, command: Command) -> KeyRecord | None:
        try:
            return await self._means.store.find_key(command.merchant_id, command.idempotency_key)
        except Unavailable:
            # The database may be back the next time; the caller's own patience bounds this.
            return None


def _words(command: Command | None) -> Mapping[str, str]:
    """What the work that a call begins is about."""
    if command is None:
        return {}
    return {"request_id": command.request_id, "merchant_id": command.merchant_id}


def _nothing(_payment: Payment) -> None:
    """A new payment is saved as it was made."""
