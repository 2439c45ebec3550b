"""The writer: takes what gathered, writes it in one transaction, answers everybody.

There is no timer. A batch is what came in while the last commit ran, so an idle system adds no
latency and a busy one grows its batches by itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from services.kernel.errors import SwitchyardError
from services.runtime.database import (
    Connection,
    Database,
    Isolation,
    backoff_seconds,
    is_retryable,
    is_too_slow,
)
from services.runtime.group_commit.queue import Admission, CommitQueue, Waiting
from services.runtime.group_commit.session import CommitLost, Session
from services.runtime.group_commit.verdict import Verdict, in_doubt, not_begun, of_family

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")
Unit_contra = TypeVar("Unit_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)

_log = logging.getLogger(__name__)

Batch: TypeAlias = Sequence[Waiting[Unit, Answer]]

# How many times a unit's patience a batch that was too slow is cut into halves.
_SPLITTING_PATIENCES: Final = 4


def _one_each(_unit: object) -> int:
    return 1


class BatchStore(Protocol[Unit_contra, Answer_co]):
    """What a service's store implements; both methods are given units sorted by key."""

    def keys(self, unit: Unit_contra) -> tuple[str, ...]:
        """What the unit touches: its aggregate first, then any other claim such as a key."""
        ...

    async def claim(
        self, connection: Connection, units: Sequence[Unit_contra], /
    ) -> Mapping[int, Verdict[Answer_co]]:
        """Take what can be lost to another (a version, headroom); losers by their index.

        When there are any the transaction is rolled back, and the others are tried without them.
        """
        ...

    async def write(
        self, connection: Connection, units: Sequence[Unit_contra], /
    ) -> Sequence[Verdict[Answer_co]]:
        """Write the winners; one verdict a unit, an error only for a unit that wrote nothing."""
        ...


@dataclass(slots=True)
class CommitCounts:
    """What the writer did since it started; read by metrics and benchmarks."""

    batches: int = 0
    units: int = 0
    losers: int = 0
    serialization_failures: int = 0
    lost_connections: int = 0
    bisections: int = 0


class GroupCommit(Generic[Unit, Answer]):
    """The door for writes of one store; see the package's own words for what it promises."""

    def __init__(
        self,
        database: Database,
        store: BatchStore[Unit, Answer],
        *,
        name: str,
        isolation: Isolation = Isolation.READ_COMMITTED,
        advisory_lock: int | None = None,
        capacity: int = 10_000,
        batch_size: int = 500,
        batch_weight: int | None = None,
        weigh: Callable[[Unit], int] = _one_each,
        patience: timedelta = timedelta(seconds=30),
        closing_patience: timedelta = timedelta(seconds=20),
    ) -> None:
        """`batch_size` bounds a batch in units, `batch_weight` in what `weigh` makes of them.

        `patience` is how long after it came a unit is tried again before its caller hears
        `Unavailable`; `closing_patience` is how long `close` lets what waits be written.
        """
        self._store = store
        self._name = name
        self._weigh = weigh
        self._patience_seconds = patience.total_seconds()
        self._closing_seconds = closing_patience.total_seconds()
        self._queue: CommitQueue[Unit, Answer] = CommitQueue(
            capacity=capacity,
            batch_size=batch_size,
            batch_weight=batch_size if batch_weight is None else batch_weight,
        )
        self._session = Session(
            database, name=name, isolation=isolation, advisory_lock=advisory_lock
        )
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._batch: Batch[Unit, Answer] = ()
        self.counts = CommitCounts()

    async def submit(self, unit: Unit, admission: Admission = Admission.INTENT) -> Answer:
        """Write the unit and return its answer, once that is committed."""
        return await self._enqueue(unit, admission)

    async def submit_each(
        self, units: Iterable[Unit], admission: Admission = Admission.INTENT
    ) -> list[Verdict[Answer]]:
        """Write many units, each on its own; an error of the family takes its unit's place."""
        verdicts: list[Verdict[Answer]] = []
        # Futures, not a task for each: on a large batch the tasks would cost more than the writing.
        for waiting in [self._try_enqueue(unit, admission) for unit in units]:
            try:
                verdicts.append(waiting if isinstance(waiting, SwitchyardError) else await waiting)
            except SwitchyardError as error:
                verdicts.append(error)
        return verdicts

    def _try_enqueue(
        self, unit: Unit, admission: Admission
    ) -> "asyncio.Future[Answer] | SwitchyardError":
        try:
            return self._enqueue(unit, admission)
        except SwitchyardError as error:
            return error

    def _enqueue(self, unit: Unit, admission: Admission) -> "asyncio.Future[Answer]":
        waiting: Waiting[Unit, Answer] = Waiting(
            unit,
            self._store.keys(unit),
            self._weigh(unit),
            admission,
            asyncio.get_running_loop().create_future(),
        )
        self._queue.put(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)
        return waiting.answered

    async def close(self) -> None:
        """Refuse newcomers, write what waits, close the connection; all of it within a bound."""
        self._queue.close()
        if self._task is None:
            return
        if not self._is_closing:
            self._is_closing = True
            # On the loop, not here: it holds when who closes is cancelled, too.
            limit = asyncio.get_running_loop().call_later(self._closing_seconds, self._task.cancel)
            self._task.add_done_callback(lambda _: limit.cancel())
        # Unlike awaiting the task, this leaves it alone when it is cancelled.
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while await self._queue.wait():
                self._batch = self._queue.take_batch()
                await self._settle(self._batch)
                self._queue.done(self._batch)
                self._batch = ()
            await self._session.close()
        except Exception:  # noqa: BLE001 -- everyone is told, and nobody awaits this task
            _log.exception("%s: ended by an error of its own", self._name)
        finally:
            self._end()

    def _end(self) -> None:
        """However the writer ended, nobody waits for it for ever."""
        self._session.abort()
        for waiting in self._batch:
            waiting.fail(in_doubt() if self._session.in_doubt else not_begun())
        for waiting in self._queue.take_all():
            waiting.fail(not_begun())

    async def _settle(self, batch: Batch[Unit, Answer]) -> None:
        """Answer everyone in the batch; whoever is to blame for an error bears it alone."""
        parts = [batch] if batch else []
        while parts:
            part = parts.pop()
            try:
                remaining = await self._write_patiently(part)
            except Exception as error:  # noqa: BLE001 -- whatever it is, its caller hears of it
                if len(part) == 1 or (is_too_slow(error) and self._has_split_enough(part)):
                    self._refuse(part, error)
                    continue
                self.counts.bisections += 1
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                if remaining:
                    parts.append(remaining)

    def _has_split_enough(self, part: Batch[Unit, Answer]) -> bool:
        # Each half may take as long again, and all the others wait behind it.
        oldest = min(waiting.since for waiting in part)
        return time.monotonic() > oldest + _SPLITTING_PATIENCES * self._patience_seconds

    def _refuse(self, part: Batch[Unit, Answer], error: Exception) -> None:
        if not isinstance(error, SwitchyardError):
            _log.error("%s: %d units failed", self._name, len(part), exc_info=error)
        for waiting in part:
            waiting.fail(of_family(error))

    async def _write_patiently(self, part: Batch[Unit, Answer]) -> Batch[Unit, Answer]:
        """Write the part, again after a serialization failure or a lost connection."""
        tries = 0
        while part:
            try:
                return await self._write_once(part)
            except CommitLost as error:
                self.counts.lost_connections += 1
                _log.warning("%s: %d units are not written yet: %s", self._name, len(part), error)
                part = self._give_up(part, error)
            except Exception as error:
                if not is_retryable(error):
                    raise
                self.counts.serialization_failures += 1
                part = self._give_up(part, error)
            await asyncio.sleep(backoff_seconds(tries))
            tries += 1
        return part

    def _give_up(self, part: Batch[Unit, Answer], error: Exception) -> Batch[Unit, Answer]:
        """Tell those whose patience is over; the others are returned."""
        came_before = time.monotonic() - self._patience_seconds
        for waiting in part:
            if waiting.since <= came_before:
                waiting.fail(of_family(error))
        if isinstance(error, CommitLost):
            # The database is away for those in the queue, too: their waits must not add up.
            for waiting in self._queue.take_those_since_before(came_before):
                waiting.fail(of_family(error))
        return [waiting for waiting in part if waiting.since > came_before]

    async def _write_once(self, part: Batch[Unit, Answer]) -> Batch[Unit, Answer]:
        """One transaction. Returns who is still to be written: those who lost nobody's claim."""
        units = [waiting.unit for waiting in part]
        losers: dict[int, Verdict[Answer]] = {}

        async def work(connection: Connection) -> Sequence[Verdict[Answer]]:
            losers.clear()
            losers.update(await self._store.claim(connection, units))
            if losers:
                raise _ClaimsLost
            verdicts = await self._store.write(connection, units)
            assert len(verdicts) == len(units), "a store answers every unit it is given"
            return verdicts

        try:
            verdicts = await self._session.run(work)
        except _ClaimsLost:
            self.counts.losers += len(losers)
            return _answer_losers(part, losers)
        self.counts.batches += 1
        self.counts.units += len(part)
        for waiting, verdict in zip(part, verdicts, strict=True):
            _tell(waiting, verdict)
        return []


class _ClaimsLost(Exception):
    """Rolls the transaction back so that the winners can be written without the losers."""


def _answer_losers(
    part: Batch[Unit, Answer], losers: Mapping[int, Verdict[Answer]]
) -> Batch[Unit, Answer]:
    for index, verdict in losers.items():
        _tell(part[index], verdict)
    return [waiting for index, waiting in enumerate(part) if index not in losers]


def _tell(waiting: Waiting[Unit, Answer], verdict: Verdict[Answer]) -> None:
    if isinstance(verdict, SwitchyardError):
        waiting.fail(verdict)
    else:
        waiting.settle(verdict)
