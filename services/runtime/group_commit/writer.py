"""The writer: takes what gathered, writes it in one transaction, answers everybody.

There is no timer. A batch is what came in while the last commit ran, so an idle system adds no
latency and a busy one grows its batches by itself.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from services.kernel.errors import SwitchyardError, Unavailable
from services.runtime.database import (
    Connection,
    Database,
    Isolation,
    backoff_seconds,
    is_retryable,
)
from services.runtime.group_commit.queue import Admission, CommitQueue, Waiting
from services.runtime.group_commit.session import CommitLost, Session

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")
Unit_contra = TypeVar("Unit_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)

_log = logging.getLogger(__name__)

_RETRY_AFTER: Final = timedelta(seconds=1)

Verdict: TypeAlias = Answer | SwitchyardError
"""What one caller is told: an answer (a replay is one too) or an error of their own."""


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
        patience: timedelta = timedelta(seconds=30),
    ) -> None:
        """`patience` is how long a batch is tried again before its callers hear `Unavailable`."""
        self._store = store
        self._name = name
        self._patience = patience
        self._queue: CommitQueue[Unit, Answer] = CommitQueue(
            capacity=capacity, batch_size=batch_size
        )
        self._session = Session(
            database, name=name, isolation=isolation, advisory_lock=advisory_lock
        )
        self._task: asyncio.Task[None] | None = None
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
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)
        waiting: Waiting[Unit, Answer] = Waiting(
            unit,
            self._store.keys(unit),
            admission,
            asyncio.get_running_loop().create_future(),
        )
        self._queue.put(waiting)
        return waiting.answered

    async def close(self) -> None:
        """Refuse newcomers, write what waits, close the connection."""
        self._queue.close()
        if self._task is not None:
            await self._task
        await self._session.close()

    async def _run(self) -> None:
        while await self._queue.wait():
            batch = self._queue.take_batch()
            await self._settle(batch)
            self._queue.done(batch)

    async def _settle(self, batch: Sequence[Waiting[Unit, Answer]]) -> None:
        """Answer everyone in the batch; whoever is to blame for an error bears it alone."""
        give_up_at = time.monotonic() + self._patience.total_seconds()
        parts = [batch] if batch else []
        while parts:
            part = parts.pop()
            try:
                remaining = await self._write_patiently(part, give_up_at)
            except Exception as error:  # noqa: BLE001 -- whatever it is, its caller hears of it
                if len(part) == 1:
                    part[0].fail(error)
                    continue
                self.counts.bisections += 1
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                if remaining:
                    parts.append(remaining)

    async def _write_patiently(
        self, part: Sequence[Waiting[Unit, Answer]], give_up_at: float
    ) -> Sequence[Waiting[Unit, Answer]]:
        """Write the part, again after a serialization failure or a lost connection."""
        tries = 0
        while True:
            try:
                return await self._write_once(part)
            except CommitLost as error:
                self.counts.lost_connections += 1
                if time.monotonic() >= give_up_at:
                    _give_up(part, error)
                    return []
                _log.warning("%s: writing %d units again: %s", self._name, len(part), error)
            except Exception as error:
                if not is_retryable(error) or time.monotonic() >= give_up_at:
                    raise
                self.counts.serialization_failures += 1
            await asyncio.sleep(backoff_seconds(tries))
            tries += 1

    async def _write_once(
        self, part: Sequence[Waiting[Unit, Answer]]
    ) -> Sequence[Waiting[Unit, Answer]]:
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
    part: Sequence[Waiting[Unit, Answer]], losers: Mapping[int, Verdict[Answer]]
) -> Sequence[Waiting[Unit, Answer]]:
    for index, verdict in losers.items():
        _tell(part[index], verdict)
    return [waiting for index, waiting in enumerate(part) if index not in losers]


def _tell(waiting: Waiting[Unit, Answer], verdict: Verdict[Answer]) -> None:
    if isinstance(verdict, SwitchyardError):
        waiting.fail(verdict)
    else:
        waiting.settle(verdict)


def _give_up(part: Sequence[Waiting[Unit, Answer]], error: Exception) -> None:
    for waiting in part:
        unavailable = Unavailable("the database is away", retry_after=_RETRY_AFTER)
        unavailable.__cause__ = error
        waiting.fail(unavailable)
