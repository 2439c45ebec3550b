"""A lane: one connection that holds partitions and works them, woken by a bell, until it is closed.

The relay and every consumer's worker are lanes; they differ in the step they take. What may fail
around a step fails here: a lost database or an unexpected error is logged once, counted, and the
lane starts over with a new connection after a pause.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog

from services.kernel.errors import Unavailable
from services.runtime.database import DATABASE_ERRORS, Connection, Database
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.partitions import HeldPartitions

_log = structlog.get_logger(__name__)

_BALANCE_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0

# A dead peer behind a network is noticed in half a minute, and its partitions come free.
_KEEP_ALIVE: Final = """
set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 4
"""

Step = Callable[[Connection, Sequence[int]], Awaitable[bool]]
"""One piece of work on the partitions held; True when more may be waiting."""


class Lane:
    """Runs steps on whatever partitions it holds, and sleeps when there is nothing to do."""

    def __init__(
        self,
        database: Database,
        step: Step,
        *,
        work: str,
        bell: str,
        bell_word: str,
        metrics: MessagingMetrics,
        poll: timedelta = timedelta(seconds=1),
        grace: timedelta = timedelta(seconds=10),
    ) -> None:
        self._database = database
        self._step = step
        self._work = work
        self._bell = bell
        self._bell_word = bell_word
        self._metrics = metrics
        self._poll_seconds = poll.total_seconds()
        self._grace_seconds = grace.total_seconds()
        self._woken = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work, in a task of the lane's own."""
        self._task = asyncio.create_task(self._run(), name=f"messaging.{self._work}")

    async def close(self) -> None:
        """Finish the step at hand, within the grace allowed, and let the partitions go."""
        self._closing = True
        self._woken.set()
        if self._task is None:
            return
        _done, late = await asyncio.wait({self._task}, timeout=self._grace_seconds)
        for task in late:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def wake_after(self, seconds: float) -> None:
        """Look for work again at that time, rather than at the next poll."""
        asyncio.get_running_loop().call_later(seconds, self._woken.set)

    async def _run(self) -> None:
        while not self._closing:
            try:
                async with self._open() as connection:
                    await self._work_on(connection)
            except (*DATABASE_ERRORS, Unavailable) as error:
                await self._pause("the database is away; trying again", error, unexpected=False)
            except Exception as error:  # noqa: BLE001 -- a lane that ends takes its consumer along
                await self._pause("failed unexpectedly; starting over", error, unexpected=True)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Connection]:
        connection = await self._database.dedicated_connection(
            application_name=f"switchyard {self._work}"
        )
        try:
            await connection.execute(_KEEP_ALIVE)
            await connection.add_listener(self._bell, self._on_bell)
            yield connection
        finally:
            # Closing politely could wait on a server that hangs; the locks go with the socket.
            connection.terminate()

    def _on_bell(self, *notification: object) -> None:
        if notification[-1] == self._bell_word:
            self._woken.set()

    async def _work_on(self, connection: Connection) -> None:
        partitions = HeldPartitions(connection, self._work)
        await partitions.announce()
        clock = asyncio.get_running_loop().time
        balance_at = clock()
        while not self._closing:
            if clock() >= balance_at:
                await partitions.balance()
                balance_at = clock() + _BALANCE_SECONDS
            self._woken.clear()
            more = bool(partitions.numbers) and await self._step(connection, partitions.numbers)
            self._failures = 0
            if not more and not self._closing:
                await self._sleep(self._poll_seconds)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _pause(self, event: str, error: Exception, *, unexpected: bool) -> None:
        if self._closing:
            return
        self._metrics.lane_failed(self._work)
        if unexpected:
            _log.error(event, work=self._work, exc_info=error)
        elif self._failures == 0:
            _log.warning(event, work=self._work, problem=str(error))
        self._failures += 1
        pause_seconds = min(
            _LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 8)
        )
        self._woken.clear()
        await self._sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter
