"""A trial system around messaging: a table of effects that remembers order, and what reads it."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
from prometheus_client import CollectorRegistry

from services.kernel.ids import EventId
from services.runtime.database import Connection, Database
from services.runtime.messaging import outbox
from services.runtime.messaging.consumer import Consumer, Handler, RetryPolicy
from services.runtime.messaging.message import IncomingMessage, OutgoingMessage, Topic

QUICK = RetryPolicy(first_pause=timedelta(milliseconds=10))

_TABLES = """
create schema if not exists trial;
create table if not exists trial.effects (
    number bigint generated always as identity,
    consumer text not null,
    event_id text not null,
    key text not null,
    sequence bigint not null,
    attempt integer not null,
    at timestamptz not null default clock_timestamp()
);
grant usage on schema trial to switchyard_app;
grant select, insert, delete on trial.effects to switchyard_app;
truncate messaging.outbox, messaging.inbox, messaging.dead_letters, messaging.replays,
         messaging.subscriptions, messaging.intake_positions, trial.effects;
"""


async def make_trial_tables(owner_url: str) -> None:
    """Empty tables: messaging's, and one of effects, which has no unique key on purpose."""
    owner = await asyncpg.connect(owner_url)
    await owner.execute(_TABLES)
    await owner.close()


def message(
    key: str,
    sequence: int,
    *,
    topic: Topic = Topic.EVENTS,
    type: str = "PaymentCaptured",  # noqa: A002 -- the field's own name
    payload: bytes = b"payload",
    event_id: EventId | None = None,
) -> OutgoingMessage:
    return OutgoingMessage(
        id=event_id or EventId.new(),
        topic=topic,
        key=key,
        sequence=sequence,
        type=type,
        payload=payload,
        occurred_at=datetime.now(UTC),
        headers={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"},
    )


async def publish(database: Database, messages: Sequence[OutgoingMessage]) -> None:
    async def work(connection: Connection) -> None:
        await outbox.append(connection, messages)

    await database.transaction(work)


async def record_effect(connection: Connection, consumer: str, received: IncomingMessage) -> None:
    await connection.execute(
        "insert into trial.effects (consumer, event_id, key, sequence, attempt)"
        " values ($1, $2, $3, $4, $5)",
        consumer,
        received.id,
        received.key,
        received.sequence,
        received.attempt,
    )


def recording(consumer: str) -> Callable[[Connection, IncomingMessage], Awaitable[None]]:
    """A handler whose effect is a row."""

    async def handle(connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, consumer, received)

    return handle


def failing(
    fails: Callable[[IncomingMessage], bool], error: Exception
) -> Callable[[Connection, IncomingMessage], Awaitable[None]]:
    """As `recording`, but with an error after the row for the messages that are to fail."""

    async def handle(connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, "trial", received)
        if fails(received):
            raise error

    return handle


def trial_consumer(handler: Handler, *, retry: RetryPolicy = QUICK) -> Consumer:
    return Consumer("trial", (Topic.EVENTS,), handler, retry=retry)


async def effects(database: Database, consumer: str = "trial") -> list[asyncpg.Record]:
    async with database.connection() as connection:
        return await connection.fetch(
            "select * from trial.effects where consumer = $1 order by number", consumer
        )


async def count(database: Database, query: str, *arguments: object) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(query, *arguments))


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_seconds: float = 30.0) -> None:
    """Wait for something to come true; generous, since a busy machine is no defect."""
    deadline = time.monotonic() + timeout_seconds
    while not await condition():
        assert time.monotonic() < deadline, "did not come true in time"
        await asyncio.sleep(0.02)


async def until_count(database: Database, query: str, wanted: int) -> None:
    """Wait until a query counts just so many."""

    async def is_reached() -> bool:
        return await count(database, query) == wanted

    await until(is_reached)


async def until_effects(
    database: Database, number: int, consumer: str = "trial", *, timeout_seconds: float = 30.0
) -> list[asyncpg.Record]:
    async def enough() -> bool:
        query = "select count(*) from trial.effects where consumer = $1"
        return await count(database, query, consumer) >= number

    await until(enough, timeout_seconds=timeout_seconds)
    return await effects(database, consumer)


async def all_relayed(database: Database) -> bool:
    query = "select count(*) from messaging.outbox where relayed_at is null"
    return await count(database, query) == 0


def sequences_by_key(rows: Iterable[asyncpg.Record]) -> dict[str, list[int]]:
    by_key: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_key[row["key"]].append(row["sequence"])
    return dict(by_key)


def metric(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def recording_or_dying(consumer: str) -> Callable[[Connection, IncomingMessage], Awaitable[None]]:
    """As `recording`, but a message of the type Deadly takes its process along."""

    async def handle(connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, consumer, received)
        if received.type == "Deadly":
            os.kill(os.getpid(), signal.SIGKILL)

    return handle


class Load:
    """Writes messages for a few keys, each key in order, until told to stop."""

    def __init__(
        self, database: Database, *, writers: int = 4, pause_seconds: float = 0.01
    ) -> None:
        self._database = database
        self._writers = writers
        self._pause_seconds = pause_seconds
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.written: dict[str, int] = defaultdict(int)

    @property
    def total(self) -> int:
        return sum(self.written.values())

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._write(n)) for n in range(self._writers)]

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _write(self, writer: int) -> None:
        keys = [f"pay_{writer}_{n}" for n in range(10)]
        while not self._stop.is_set():
            batch = [message(key, self.written[key] + n) for key in keys for n in (1, 2)]
            await publish(self._database, batch)
            for key in keys:
                self.written[key] += 2
            await asyncio.sleep(self._pause_seconds)


async def assert_all_arrived_once_in_order(database: Database, load: Load) -> None:
    """Wait until what was written had its effect, then hold the effects against it."""
    await until_effects(database, load.total, timeout_seconds=120)
    rows = await effects(database)
    wanted = {key: list(range(1, last + 1)) for key, last in load.written.items()}
    assert sequences_by_key(rows) == wanted
    assert await count(database, "select count(*) from messaging.inbox where state = 'dead'") == 0
