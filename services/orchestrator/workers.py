"""What goes on beside the calls: payments being driven, and postings being booked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from datetime import datetime, timedelta
from typing import Final, Protocol, Self

from services.kernel.clock import Clock
from services.kernel.errors import Unavailable
from services.kernel.ids import PaymentId
from services.orchestrator.domain.events import PaymentConfirmRequested
from services.orchestrator.domain.saving import LEASE, Doubt, Lease
from services.orchestrator.metrics import DoubtMetrics
from services.orchestrator.service.desks import Desks
from services.runtime.database import Connection
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.periodic import Periodic
from services.runtime.telemetry import Tracing, begin_context, recorded_traceparent

# As long as an attempt may take; what is not done by then is taken up again elsewhere.
_GRACE: Final = timedelta(seconds=30)
_SWEEP: Final = timedelta(seconds=1)
_SWEEP_MAX: Final = 100
# A little longer than the ledger may take to answer.
_POSTING_GRACE: Final = timedelta(seconds=12)
# So that one renewal may fail.
_RENEWALS_A_LEASE: Final = 3

_DOUBT_LOOK: Final = timedelta(seconds=5)
_DOUBT_ALARM: Final = timedelta(minutes=5)
_WATCH_PAUSE: Final = timedelta(milliseconds=500)
_QUOTA_UPKEEP: Final = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class Tasks:
    """Work that outlives the calls that began it, each in a context of its own.

    A caller's deadline and cancellation do not reach a payment: a shaved deadline would leave what
    a processor did unknown. Its trace does.
    """

    def __init__(self, tracing: Tracing, *, grace: timedelta = _GRACE) -> None:
        self._tracing = tracing
        self._grace_seconds = grace.total_seconds()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Callable[[], Awaitable[None]], words: Mapping[str, str]) -> None:
        """Run the work to its end, whoever waits for it."""
        task = asyncio.create_task(
            self._run(work, words, recorded_traceparent()),
            name=f"payment {words['payment_id']}",
            context=Context(),
        )
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def close(self, leave: Callable[[], Awaitable[None]]) -> None:
        """Let what is under way come to an end, but not for ever; what is left, others take up."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=self._grace_seconds)
        if late:
            await leave()
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(
        self,
        work: Callable[[], Awaitable[None]],
        words: Mapping[str, str],
        traceparent: str | None,
    ) -> None:
        begin_context(**words)
        with self._tracing.continued("payment", traceparent, words):
            await work()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)


class Leases(Protocol):
    """Where payments are taken up, kept and left."""

    async def take_due(self, now: datetime, limit: int) -> Sequence[Lease]: ...

    async def take(self, payment_id: PaymentId) -> Lease | None: ...

    async def renew(self, leases: Sequence[Lease]) -> frozenset[PaymentId]: ...

    async def release(self, leases: Sequence[Lease]) -> None: ...


class Recovery:
    """Takes up what nobody goes on with: after a crash, for a lookup, when a customer is late.

    Any number of processes do this beside one another; a lease makes each payment one's own.
    """

    def __init__(
        self, leases: Leases, desks: Desks, clock: Clock, *, lease: timedelta = LEASE
    ) -> None:
        self._leases = leases
        self._desks = desks
        self._clock = clock
        self._renewal = lease / _RENEWALS_A_LEASE

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for what is due, and keep what is driven here."""
        async with (
            Periodic(self.sweep, name="orchestrator.sweep", interval=_SWEEP),
            Periodic(self.renew, name="orchestrator.leases", interval=self._renewal),
        ):
            yield

    async def sweep(self) -> bool:
        """Take up what is due by now; whether there may be more."""
        taken = await self._leases.take_due(self._clock.now(), _SWEEP_MAX)
        for lease in taken:
            self._desks.drive(lease)
        return len(taken) == _SWEEP_MAX

    async def renew(self) -> bool:
        """Keep what is driven here, and let go what somebody else has taken over."""
        leases = self._desks.leases
        if leases:
            kept = await self._leases.renew(leases)
            self._desks.overtaken([each for each in leases if each.payment_id not in kept])
        return False

    async def leave(self) -> None:
        """Let others take up at once what is still driven here."""
        leases = self._desks.leases
        if leases:
            await self._leases.release(leases)


class Doubts(Protocol):
    """Where payments in doubt are counted."""

    async def doubts(self) -> Sequence[Doubt]: ...


class DoubtWatch:
    """Shows what is in doubt, and says so where that lasts."""

    def __init__(self, doubts: Doubts, metrics: DoubtMetrics, clock: Clock) -> None:
        self._doubts = doubts
        self._metrics = metrics
        self._clock = clock

    def running(self) -> Periodic:
        """Look every few seconds."""
        return Periodic(self.look, name="orchestrator.doubts", interval=_DOUBT_LOOK)

    async def look(self) -> bool:
        """Look once."""
        doubts, now = await self._doubts.doubts(), self._clock.now()
        self._metrics.show(doubts, now)
        for each in doubts:
            if now - each.since > _DOUBT_ALARM:
                _log.error(
                    "%d payments with %s have been in doubt since %s",
                    each.payments,
                    each.amount,
                    each.since.isoformat(),
                )
        return False


class Confirmations:
    """Takes up the payments that a confirmation has set going, wherever it was given."""

    def __init__(self, leases: Leases, desks: Desks) -> None:
        self._leases = leases
        self._desks = desks

    def consumer(self) -> Consumer:
        return Consumer("orchestrator.confirmations", (Topic.COMMANDS,), self._handle)

    async def _handle(self, _connection: Connection, message: IncomingMessage) -> None:
        """Take the payment up, in a transaction of its own: whoever comes again finds it taken.

        The message is not held while processors are asked. A process that dies now leaves a lease
        that runs out, and the sweep finds the payment.
        """
        if message.type != PaymentConfirmRequested.__name__:
            return
        try:
            lease = await self._leases.take(PaymentId.parse(message.key))
        except Unavailable as error:
            # The payment is due all the same: a dead letter would tell of nothing that is lost.
            _log.warning("%s is left to the sweep: %s", message.key, error)
            return
        if lease is not None:
            self._desks.drive(lease)


class Watches(Protocol):
    """Who hears of new versions of configurations."""

    async def watch(self) -> bool: ...


def policy_watch(policies: Watches) -> Periodic:
    """Keeps the watch over policies on, and takes it up again whenever it ends."""
    return Periodic(policies.watch, name="orchestrator.policies", interval=_WATCH_PAUSE)


def quota_upkeep(forget: Callable[[], Awaitable[bool]]) -> Periodic:
    """Forgets what was drawn of quotas and is over."""
    return Periodic(forget, name="orchestrator.quotas", interval=_QUOTA_UPKEEP)


class PostsDue(Protocol):
    """Who books what is due."""

    async def post_due(self) -> bool: ...


class Bell(Protocol):
    """Who says that there is something to book."""

    async def wait(self, at_most: timedelta) -> None: ...


class PosterLoop:
    """Books postings as soon as they are there, and now and then those of other processes.

    At its end a try that is in hand is finished first, within bounds: whoever cut it off would
    leave its postings to nobody until their time is over.
    """

    def __init__(
        self,
        poster: PostsDue,
        bell: Bell,
        *,
        sweep: timedelta = _SWEEP,
        grace: timedelta = _POSTING_GRACE,
    ) -> None:
        self._poster = poster
        self._bell = bell
        self._sweep = sweep
        self._grace_seconds = grace.total_seconds()
        self._is_trying = False
        self._is_over = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="poster")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._is_over = True
        if self._is_trying:
            await asyncio.wait((self._task,), timeout=self._grace_seconds)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            has_more = await self._post()
            if self._is_over:
                return
            if not has_more:
                await self._bell.wait(self._sweep)

    async def _post(self) -> bool:
        self._is_trying = True
        try:
            return await self._poster.post_due()
        except Exception:  # noqa: BLE001 -- the next time may be better, and nobody else tries
            _log.exception("posting failed; it is tried again")
            return False
        finally:
            self._is_trying = False
