"""A trial system around messaging: an effect table that remembers order, and parts to put together."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

import asyncpg
from prometheus_client import CollectorRegistry

from services.kernel.ids import EventId
from services.runtime.database import Connection, Database
from services.runtime.messaging import outbox
from services.runtime.messaging.message import IncomingMessage, OutgoingMessage, Topic

_TABLES = """
create schema trial;
create table trial.effects (
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
"""


async def make_trial_tables(owner_url: str) -> None:
    """The table of effects; it has no unique key on purpose, so that a second effect shows."""
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


async def until_effects(
    database: Database, number: int, consumer: str = "trial", *, timeout_seconds: float = 30.0
) -> list[asyncpg.Record]:
    async def enough() -> bool:
        query = "select count(*) from trial.effects where consumer = $1"
        return await count(database, query, consumer) >= number

    await until(enough, timeout_seconds=timeout_seconds)
    return await effects(database, consumer)


def sequences_by_key(rows: Iterable[asyncpg.Record]) -> dict[str, list[int]]:
    by_key: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_key[row["key"]].append(row["sequence"])
    return dict(by_key)


def metric(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0
