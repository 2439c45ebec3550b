"""Messaging: rows relayed a second, effects a second, and latency, on PostgreSQL and on Kafka.

One run on one PostgreSQL, fsync on, and on one Kafka broker from `make kafka`'s jars. Relay, intake
and worker share one process with the load, beside the servers on the same cores.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import asyncpg
import uvloop
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from bench import JSON_HELP, keep
from services.kernel.ids import EventId, PaymentId
from services.runtime.database import Connection, Database
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.messaging import outbox
from services.runtime.messaging.broker import BrokerBus
from services.runtime.messaging.bus import Bus
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.kafka import KafkaBroker, KafkaSettings
from services.runtime.messaging.message import IncomingMessage, OutgoingMessage, Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.relay import Relay
from services.runtime.messaging.worker import Worker
from services.runtime.migrate import migrate
from tools.kafka import Broker, resolve_jars

_KAFKA_PORT: Final = 29392
_APPENDED_AT_ONCE: Final = 1_000
_PACED_PER_SECOND: Final = 50
_IDLE_SECONDS: Final = 5.0

_TABLES: Final = """
create schema bench;
create table bench.effects (
    event_id text not null, key text not null, at timestamptz not null default clock_timestamp()
);
grant usage on schema bench to switchyard_app;
grant select, insert on bench.effects to switchyard_app;
"""

_WAITING: Final = "select count(*) from messaging.outbox where relayed_at is null"
_EFFECTS: Final = "select count(*) from bench.effects"

_numbers = count(1)
MakeBus = Callable[[Database, MessagingMetrics], Bus]


@dataclass(frozen=True)
class Figures:
    """What one engine does."""

    engine: str
    relayed_per_second: float
    effects_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    idle_cpu_percent: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench messaging", description=__doc__)
    parser.add_argument("--messages", type=int, default=50_000, help="how many wait to be relayed")
    parser.add_argument("--seconds", type=float, default=10.0, help="of paced load, for latency")
    parser.add_argument("--engine", choices=["postgres", "kafka", "both"], default="both")
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    options = parser.parse_args(arguments)
    engines = ["postgres", "kafka"] if options.engine == "both" else [options.engine]
    with tempfile.TemporaryDirectory(prefix="swy-") as folder:
        Path(folder).chmod(0o711)
        figures = [
            uvloop.run(_measure(Path(folder), engine, options.messages, options.seconds))
            for engine in engines
        ]
    keep([asdict(each) for each in figures], options.json)
    _print(figures)
    return 0


async def _measure(folder: Path, engine: str, messages: int, seconds: float) -> Figures:
    server = await EmbeddedPostgres.start(folder / engine)
    broker = Broker(folder / "kafka", _KAFKA_PORT) if engine == "kafka" else None
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        owner = await asyncpg.connect(server.owner_url)
        await owner.execute(_TABLES)
        await owner.close()
        if broker is not None:
            resolve_jars()
            await asyncio.to_thread(broker.start)
        database = await Database.connect(server.application_url, application_name="bench")
        figures = await _engine_figures(database, engine, _bus_maker(broker), messages, seconds)
        await database.close()
        return figures
    finally:
        if broker is not None:
            await asyncio.to_thread(broker.stop)
        await server.stop()


def _bus_maker(broker: Broker | None) -> MakeBus:
    if broker is None:
        return lambda database, _metrics: PostgresBus(database)
    settings = KafkaSettings(broker.bootstrap)
    return lambda database, metrics: BrokerBus(database, KafkaBroker(settings), metrics=metrics)


async def _engine_figures(
    database: Database, engine: str, make_bus: MakeBus, messages: int, seconds: float
) -> Figures:
    async with _running(database, make_bus):
        # Connections are made and plans are warm before anything counts.
        await _append(database, 1_000)
        await _until(database, _EFFECTS, lambda found: found >= 1_000)
        latencies = await _latencies(database, seconds)
        idle_cpu_percent = await _idle_cpu_percent()
    effects_before = await _number(database, _EFFECTS)
    await _append(database, messages)
    started_at = time.perf_counter()
    async with _running(database, make_bus):
        await _until(database, _WAITING, lambda waiting: waiting == 0)
        relayed_at = time.perf_counter()
        await _until(database, _EFFECTS, lambda found: found >= effects_before + messages)
        handled_at = time.perf_counter()
    return Figures(
        engine=engine,
        relayed_per_second=round(messages / (relayed_at - started_at)),
        effects_per_second=round(messages / (handled_at - started_at)),
        latency_p50_ms=round(statistics.median(latencies), 1),
        latency_p99_ms=round(statistics.quantiles(latencies, n=100)[98], 1),
        idle_cpu_percent=idle_cpu_percent,
    )


@asynccontextmanager
async def _running(database: Database, make_bus: MakeBus) -> AsyncIterator[None]:
    metrics = MessagingMetrics(CollectorRegistry())
    bus = make_bus(database, metrics)
    consumer = Consumer("bench", (Topic.EVENTS,), _record)
    await bus.open([consumer])
    worker = Worker(database, consumer, metrics=metrics)
    relay = Relay(database, bus, metrics=metrics)
    worker.start()
    relay.start()
    try:
        yield
    finally:
        await relay.close()
        await worker.close()
        await bus.close()


async def _record(connection: Connection, message: IncomingMessage) -> None:
    # The notice is sent when the effect commits, which is where latency ends.
    await connection.execute(
        "with effect as (insert into bench.effects (event_id, key) values ($1, $2))"
        " select pg_notify('bench_effects', $1) where $3",
        message.id,
        message.key,
        message.type == "Paced",
    )


async def _append(database: Database, messages: int) -> None:
    for first in range(0, messages, _APPENDED_AT_ONCE):
        batch = [_message("Waiting") for _ in range(min(_APPENDED_AT_ONCE, messages - first))]
        async with database.connection() as connection:
            await outbox.append(connection, batch)


async def _latencies(database: Database, seconds: float) -> list[float]:
    """From the writer's commit to the effect's, in milliseconds, at a pace no engine feels."""
    arrived_at: dict[str, float] = {}
    committed_at: dict[str, float] = {}
    listener = await database.dedicated_connection(application_name="bench listener")

    def note(*notification: object) -> None:
        arrived_at[str(notification[-1])] = time.perf_counter()

    await listener.add_listener("bench_effects", note)
    for _ in range(round(seconds * _PACED_PER_SECOND)):
        message = _message("Paced")
        async with database.connection() as connection:
            await outbox.append(connection, [message])
        committed_at[message.id] = time.perf_counter()
        await asyncio.sleep(1 / _PACED_PER_SECOND)
    while len(arrived_at) < len(committed_at):  # noqa: ASYNC110 -- the notices are counted
        await asyncio.sleep(0.05)
    await listener.close()
    return [(arrived_at[event] - at) * 1000 for event, at in committed_at.items()]


async def _idle_cpu_percent() -> float:
    await asyncio.sleep(1)
    before = _cpu_seconds()
    await asyncio.sleep(_IDLE_SECONDS)
    return round((_cpu_seconds() - before) / _IDLE_SECONDS * 100, 1)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _message(kind: str) -> OutgoingMessage:
    return OutgoingMessage(
        id=EventId.new(),
        topic=Topic.EVENTS,
        key=PaymentId.new(),
        sequence=next(_numbers),
        type=kind,
        payload=bytes(300),
        occurred_at=datetime.now(UTC),
    )


async def _until(database: Database, query: str, reached: Callable[[int], bool]) -> None:
    while not reached(await _number(database, query)):  # noqa: ASYNC110 -- the database tells nobody
        await asyncio.sleep(0.1)


async def _number(database: Database, query: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(query))


def _print(figures: Sequence[Figures]) -> None:
    table = Table("engine")
    for heading in ("relayed/s", "effects/s", "latency p50 ms", "p99 ms", "idle CPU %"):
        table.add_column(heading, justify="right")
    for each in figures:
        table.add_row(
            each.engine,
            f"{each.relayed_per_second:,.0f}",
            f"{each.effects_per_second:,.0f}",
            f"{each.latency_p50_ms}",
            f"{each.latency_p99_ms}",
            f"{each.idle_cpu_percent}",
        )
    Console().print(table)
