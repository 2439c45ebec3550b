"""The worker: takes the head of each key from a consumer's inbox and has it handled, once.

An attempt is counted and committed before the handler runs, so that a message which kills its
process is known by its count. The handler's effect and the done mark are one commit. What fails
parks its own key; what has failed too often is buried: out of the line, its story kept, a copy sent
to the dead-letter topic.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from opentelemetry import trace

from services.kernel.crash_points import CrashPoint
from services.kernel.redaction import redact_text
from services.runtime.crash_points import reach
from services.runtime.database import Connection, Database, Record
from services.runtime.messaging import dead_letters
from services.runtime.messaging.consumer import Consumer, RetryPolicy, Unreadable
from services.runtime.messaging.lane import Lane
from services.runtime.messaging.message import IncomingMessage
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.queries import load_queries
from services.runtime.telemetry import Tracing, bound_context
from services.runtime.telemetry.tracing import parse_traceparent

_QUERIES = load_queries(__package__)

_log = structlog.get_logger(__name__)

_LONGEST_ERROR: Final = 2000


@dataclass(slots=True)
class _Outcome:
    """What became of the messages of one batch."""

    done: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    parked: list[tuple[str, str, float]] = field(default_factory=list)
    buried: list[tuple[str, str]] = field(default_factory=list)
    stuck_keys: set[str] = field(default_factory=set)


class Worker:
    """Works one consumer's inbox, on as many lanes as the consumer has."""

    def __init__(
        self,
        database: Database,
        consumer: Consumer,
        *,
        metrics: MessagingMetrics,
        retry: RetryPolicy | None = None,
        tracing: Tracing | None = None,
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        self._retry = consumer.retry or retry or RetryPolicy()
        self._tracing = tracing
        self._consumer = consumer
        self._metrics = metrics
        self._lanes = [
            Lane(
                database,
                self._step,
                work=f"worker {consumer.name}",
                bell="messaging_inbox",
                bell_word=consumer.name,
                metrics=metrics,
                poll=poll,
            )
            for _ in range(consumer.lanes)
        ]

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    async def close(self) -> None:
        """Finish the messages at hand and stop."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    async def _step(self, connection: Connection, partitions: Sequence[int]) -> bool:
        rows = await connection.fetch(
            _QUERIES["claim_messages"], self._consumer.name, partitions, self._consumer.batch_size
        )
        if not rows:
            return False
        if len(rows) == 1 or not await self._handle_together(connection, rows):
            await self._handle_one_by_one(connection, rows)
        return True

    async def _handle_together(self, connection: Connection, rows: Sequence[Record]) -> bool:
        """All or none, which saves two round trips a message; False when one of them failed."""
        try:
            async with connection.transaction():
                await self._call_handlers(connection, rows)
                reach(CrashPoint.CONSUMED_NOT_ACKNOWLEDGED)
                done = [row["event_id"] for row in rows]
                await connection.execute(_QUERIES["mark_done"], self._consumer.name, done)
        except Exception:  # noqa: BLE001 -- the handler's; told when it fails one by one
            return False
        self._metrics.handled(self._consumer.name, len(rows))
        return True

    async def _call_handlers(self, connection: Connection, rows: Sequence[Record]) -> None:
        """In order within a key, and as many keys side by side as the consumer wants."""
        lines: defaultdict[str, list[Record]] = defaultdict(list)
        for row in rows:
            lines[row["key"] if self._consumer.abreast > 1 else ""].append(row)
        slots = asyncio.Semaphore(self._consumer.abreast)

        async def follow(line: Sequence[Record]) -> None:
            async with slots:
                for row in line:
                    await self._call_handler(connection, row)

        if len(lines) == 1:
            await follow(rows)
            return
        async with asyncio.TaskGroup() as keys:
            for line in lines.values():
                keys.create_task(follow(line))

    async def _handle_one_by_one(self, connection: Connection, rows: Sequence[Record]) -> None:
        outcome = _Outcome()
        async with connection.transaction():
            for row in rows:
                if row["attempts"] > self._retry.tries:
                    outcome.buried.append((row["event_id"], _died_while_handled(row)))
                elif row["key"] in outcome.stuck_keys:
                    outcome.untried.append(row["event_id"])
                else:
                    await self._attempt(connection, row, outcome)
            await self._settle(connection, outcome)
        self._count(outcome)

    async def _attempt(self, connection: Connection, row: Record, outcome: _Outcome) -> None:
        try:
            # A savepoint, so that a handler that fails undoes its own writes and no other's.
            async with connection.transaction():
                await self._call_handler(connection, row)
        except Exception as error:
            # With the connection the whole batch is lost, through no fault of this message.
            if connection.is_closed():
                raise
            self._note_failure(row, error, outcome)
        else:
            outcome.done.append(row["event_id"])

    async def _call_handler(self, connection: Connection, row: Record) -> None:
        message = _incoming(row)
        with self._traced(message):
            async with asyncio.timeout(self._consumer.patience.total_seconds()):
                await self._consumer.handler(connection, message)

    @contextmanager
    def _traced(self, message: IncomingMessage) -> Iterator[None]:
        """In the trace of the change that the message tells of, as far as it was told."""
        sender = parse_traceparent(message.headers.get("traceparent", ""))
        words = {"consumer": self._consumer.name, "event_id": message.id}
        with bound_context(**words), ExitStack() as stack:
            if sender is not None:
                stack.enter_context(trace.use_span(trace.NonRecordingSpan(sender)))
            if self._tracing is not None:
                name = f"{self._consumer.name} {message.type}"
                span = self._tracing.span(name, words, kind=trace.SpanKind.CONSUMER)
                stack.enter_context(span)
            yield

    def _note_failure(self, row: Record, error: Exception, outcome: _Outcome) -> None:
        text = _described(error)
        pause_seconds = self._retry.pause_seconds(row["attempts"])
        hopeless = isinstance(error, Unreadable) or row["attempts"] >= self._retry.tries
        if hopeless:
            outcome.buried.append((row["event_id"], text))
        else:
            outcome.stuck_keys.add(row["key"])
            outcome.parked.append((row["event_id"], text, pause_seconds))
        _log.log(
            logging.ERROR if hopeless else logging.WARNING,
            "message given up on" if hopeless else "message will be tried again",
            consumer=self._consumer.name,
            event_id=row["event_id"],
            type=row["type"],
            key=row["key"],
            attempt=row["attempts"],
            problem=text,
        )

    async def _settle(self, connection: Connection, outcome: _Outcome) -> None:
        name = self._consumer.name
        if outcome.done:
            # An effect beyond this transaction, such as a payment taken up, stands already.
            reach(CrashPoint.CONSUMED_NOT_ACKNOWLEDGED)
            await connection.execute(_QUERIES["mark_done"], name, outcome.done)
        if outcome.untried:
            await connection.execute(_QUERIES["give_back"], name, outcome.untried)
        if outcome.parked:
            await connection.execute(
                _QUERIES["park_failed"],
                name,
                *(list(column) for column in zip(*outcome.parked, strict=True)),
            )
        if outcome.buried:
            await dead_letters.bury(connection, name, outcome.buried)

    def _count(self, outcome: _Outcome) -> None:
        name = self._consumer.name
        self._metrics.handled(name, len(outcome.done))
        self._metrics.retried(name, len(outcome.parked))
        self._metrics.buried(name, len(outcome.buried))
        for _, _, pause_seconds in outcome.parked:
            for lane in self._lanes:
                lane.wake_after(pause_seconds)


def _died_while_handled(row: Record) -> str:
    earlier = f"; before that: {row['error']}" if row["error"] else ""
    return f"its worker died while handling it, {row['attempts'] - 1} tries in all{earlier}"


def _described(error: Exception) -> str:
    return redact_text(f"{type(error).__name__}: {error}".rstrip(": "))[:_LONGEST_ERROR]


def _incoming(row: Record) -> IncomingMessage:
    return IncomingMessage(
        id=row["event_id"],
        topic=row["topic"],
        key=row["key"],
        sequence=row["sequence"],
        type=row["type"],
        payload=row["payload"],
        occurred_at=row["occurred_at"],
        headers=json.loads(row["headers"]),
        attempt=row["attempts"],
    )
