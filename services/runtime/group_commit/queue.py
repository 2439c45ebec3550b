"""What waits for the writer, and what may share its next batch.

Two units that touch the same aggregate never share a batch: `update … from unnest` would apply one
of them and say nothing. So each unit names its keys, a batch holds each key once, and units of one
key leave in the order they came.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Final, Generic, TypeVar

from services.kernel.errors import Reason, ResourceExhausted, SwitchyardError, Unavailable

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

_RETRY_AFTER: Final = timedelta(seconds=1)


class Admission(Enum):
    """What a full queue does with a unit."""

    INTENT = "intent"
    """Something not begun yet: refused when the queue is full, nothing is lost by it."""
    FACT = "fact"
    """Something that has happened outside: always taken, and written before intents."""


@dataclass(slots=True, eq=False)
class Waiting(Generic[Unit, Answer]):
    """A unit on its way, and the caller who awaits its answer."""

    unit: Unit
    keys: tuple[str, ...]
    weight: int
    admission: Admission
    answered: "asyncio.Future[Answer]"
    since: float = field(default_factory=time.monotonic)

    def settle(self, answer: Answer) -> None:
        """Give the caller their answer; one who has stopped waiting no longer needs it."""
        if not self.answered.done():
            self.answered.set_result(answer)

    def fail(self, error: SwitchyardError) -> None:
        """Give the caller the error that their unit, and only theirs, ran into."""
        if not self.answered.done():
            self.answered.set_exception(error)

    @property
    def abandoned(self) -> bool:
        """Whether an intent's caller left before it was begun; a fact stays true without them."""
        return self.admission is Admission.INTENT and self.answered.cancelled()


class CommitQueue(Generic[Unit, Answer]):
    """Units in arrival order: facts before intents, but never past an earlier unit of their key."""

    def __init__(self, *, capacity: int, batch_size: int, batch_weight: int) -> None:
        self._capacity = capacity
        self._batch_size = batch_size
        self._batch_weight = batch_weight
        self._facts: deque[Waiting[Unit, Answer]] = deque()
        self._intents: deque[Waiting[Unit, Answer]] = deque()
        self._lines: dict[str, deque[Waiting[Unit, Answer]]] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._facts) + len(self._intents)

    def put(self, waiting: Waiting[Unit, Answer]) -> None:
        """Queue a unit, or refuse an intent when as many wait as the queue holds."""
        if self._closed:
            raise Unavailable(
                "shutting down; nothing of this was begun",
                reason=Reason.SHUTTING_DOWN,
                retry_after=_RETRY_AFTER,
            )
        if waiting.admission is Admission.INTENT:
            if len(self) >= self._capacity:
                raise ResourceExhausted(
                    f"{len(self)} writes are waiting already; nothing of this one was begun",
                    reason=Reason.QUEUE_FULL,
                    retry_after=_RETRY_AFTER,
                )
            self._intents.append(waiting)
        else:
            self._facts.append(waiting)
        for key in waiting.keys:
            self._lines.setdefault(key, deque()).append(waiting)
        self._changed.set()

    def close(self) -> None:
        """Take nothing more; what waits is still written."""
        self._closed = True
        self._changed.set()

    async def wait(self) -> bool:
        """Return True when something waits, False once the queue is closed and empty."""
        while not len(self) and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        return len(self) > 0

    def take_batch(self) -> list[Waiting[Unit, Answer]]:
        """Everything that may be written together now, sorted by key.

        The order is the same in every process, so that two writers lock rows in the same order.
        """
        batch: list[Waiting[Unit, Answer]] = []
        weight = 0
        for line in (self._facts, self._intents):
            passed_over: list[Waiting[Unit, Answer]] = []
            while line and self._has_room(len(batch), weight + line[0].weight):
                waiting = line.popleft()
                if waiting.abandoned:
                    self._leave_lines((waiting,))
                elif all(self._lines[key][0] is waiting for key in waiting.keys):
                    batch.append(waiting)
                    weight += waiting.weight
                else:
                    passed_over.append(waiting)
            line.extendleft(reversed(passed_over))
        batch.sort(key=lambda waiting: waiting.keys)
        return batch

    def take_those_since_before(self, moment: float) -> list[Waiting[Unit, Answer]]:
        """Take out whoever came before that moment and has not been begun."""
        taken: list[Waiting[Unit, Answer]] = []
        for line in (self._facts, self._intents):
            while line and line[0].since <= moment:
                taken.append(line.popleft())
        self._leave_lines(taken)
        return taken

    def take_all(self) -> list[Waiting[Unit, Answer]]:
        """Close, and take out whoever has not been begun."""
        self.close()
        return self.take_those_since_before(float("inf"))

    def done(self, batch: Iterable[Waiting[Unit, Answer]]) -> None:
        """A batch is written or refused: who waited behind it may come next."""
        self._leave_lines(batch)

    def _has_room(self, size: int, weight: int) -> bool:
        # A unit heavier than any batch may be goes by itself rather than never.
        return size == 0 or (size < self._batch_size and weight <= self._batch_weight)

    def _leave_lines(self, leaving: Iterable[Waiting[Unit, Answer]]) -> None:
        for waiting in leaving:
            for key in waiting.keys:
                line = self._lines[key]
                line.remove(waiting)
                if not line:
                    del self._lines[key]
