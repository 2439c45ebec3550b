"""The worker tries and waits: each message for itself, each key in order, once."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from services.runtime.database import Connection, Database
from services.runtime.messaging.consumer import Consumer, RetryPolicy
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.worker import Worker
from services.runtime.telemetry import Tracing
from tests.messaging.conftest import Running
from tests.messaging.engines import PostgresEngine
from tests.messaging.system import (
    QUICK,
    effects,
    failing,
    message,
    metric,
    publish,
    record_effect,
    trial_consumer,
    until,
    until_effects,
)


async def test_a_failed_attempt_leaves_no_effect_and_is_made_again(
    database: Database, running: Running, registry: CollectorRegistry
) -> None:
    handler = failing(lambda m: m.attempt < 3, ConnectionRefusedError("mail server away"))
    await running.start(PostgresEngine(), trial_consumer(handler))
    await publish(database, [message("pay_1", 1)])
    rows = await until_effects(database, 1)
    assert [(row["sequence"], row["attempt"]) for row in rows] == [(1, 3)]
    assert metric(registry, "messaging_retries_total", consumer="trial") == 2


async def test_a_waiting_retry_blocks_its_own_key_and_no_other(
    database: Database, running: Running
) -> None:
    retry = RetryPolicy(first_pause=timedelta(seconds=1.5), jitter=0)
    handler = failing(
        lambda m: m.key == "pay_1" and m.sequence == m.attempt == 1, LookupError("not yet")
    )
    await running.start(PostgresEngine(), trial_consumer(handler, retry=retry))
    await publish(database, [message("pay_1", n) for n in (1, 2, 3)])
    await publish(database, [message(f"other_{n}", 1) for n in range(50)])
    first = await until_effects(database, 50)
    assert all(row["key"].startswith("other") for row in first[:50])
    rows = await until_effects(database, 53)
    assert [row["sequence"] for row in rows if row["key"] == "pay_1"] == [1, 2, 3]
    waited = next(row["at"] for row in rows if row["key"] == "pay_1") - first[0]["at"]
    assert waited > timedelta(seconds=1)


async def test_a_handler_that_hangs_has_failed(database: Database, running: Running) -> None:
    async def handler(connection: Connection, received: IncomingMessage) -> None:
        if received.attempt == 1:
            await connection.execute("select pg_sleep(60)")
        await record_effect(connection, "trial", received)

    consumer = Consumer(
        "trial",
        (Topic.EVENTS,),
        handler,
        retry=QUICK,
        patience=timedelta(seconds=0.2),
    )
    await running.start(PostgresEngine(), consumer)
    await publish(database, [message("pay_1", 1), message("pay_2", 1)])
    rows = await until_effects(database, 2)
    assert {row["key"]: row["attempt"] for row in rows} == {"pay_1": 2, "pay_2": 2}


async def test_a_broken_statement_in_a_handler_undoes_that_handler_alone(
    database: Database, running: Running
) -> None:
    async def handler(connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, "trial", received)
        if received.key == "bad":
            await connection.execute("select 1 / 0")

    retry = RetryPolicy(tries=1)
    await running.start(PostgresEngine(), trial_consumer(handler, retry=retry))
    await publish(database, [message("pay_1", 1), message("bad", 1), message("pay_2", 1)])
    rows = await until_effects(database, 2)
    assert {row["key"] for row in rows} == {"pay_1", "pay_2"}
    async with database.connection() as connection:
        error = await connection.fetchval("select error from messaging.inbox where key = 'bad'")
    assert error == "DivisionByZeroError: division by zero"


async def test_a_connection_lost_in_a_handler_costs_no_effect(
    database: Database, running: Running
) -> None:
    lost: Counter[str] = Counter()

    async def handler(connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, "trial", received)
        if received.key == "pay_5" and not lost[received.key]:
            lost[received.key] += 1
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    await running.start(PostgresEngine(), trial_consumer(handler))
    await publish(database, [message(f"pay_{n}", 1) for n in range(10)])
    rows = await until_effects(database, 10)
    assert len({row["event_id"] for row in rows}) == len(rows) == 10
    assert lost == {"pay_5": 1}


async def test_closing_finishes_the_messages_at_hand(
    database: Database, metrics: MessagingMetrics, running: Running
) -> None:
    begun = asyncio.Event()

    async def handler(connection: Connection, received: IncomingMessage) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        await record_effect(connection, "trial", received)

    consumer = trial_consumer(handler)
    await running.start(PostgresEngine())
    await PostgresEngine().bus(database, metrics).open([consumer])
    worker = Worker(database, consumer, metrics=metrics)
    worker.start()
    await publish(database, [message("pay_1", 1)])
    await begun.wait()
    await worker.close()
    assert len(await effects(database)) == 1


async def test_a_handler_runs_in_the_trace_of_the_change(
    database: Database, metrics: MessagingMetrics, running: Running
) -> None:
    trace_ids: list[str] = []

    async def handler(_connection: Connection, _received: IncomingMessage) -> None:
        context = trace.get_current_span().get_span_context()
        trace_ids.append(f"{context.trace_id:032x}")

    async def has_run() -> bool:
        return bool(trace_ids)

    exporter = InMemorySpanExporter()
    tracing = Tracing("trial", exporters=[exporter])
    consumer = trial_consumer(handler)
    await running.start(PostgresEngine())
    await PostgresEngine().bus(database, metrics).open([consumer])
    worker = Worker(database, consumer, metrics=metrics, tracing=tracing)
    worker.start()
    await publish(database, [message("pay_1", 1)])
    await until(has_run)
    await worker.close()
    assert trace_ids == ["a" * 32]
    (span,) = exporter.get_finished_spans()
    assert span.name == "trial PaymentCaptured"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b" * 16
    tracing.shutdown()


@pytest.mark.parametrize(
    "wrong",
    [{"tries": 0}, {"first_pause": timedelta(0)}, {"factor": 0.5}, {"jitter": 1.0}],
)
def test_a_retry_policy_without_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"retry policy|jitter"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"topics": ()},
        {"batch_size": 0},
        {"lanes": 0},
        {"patience": timedelta(seconds=9)},
    ],
)
def test_a_consumer_without_sense_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"name": "trial", "topics": (Topic.EVENTS,), "handler": None}
    with pytest.raises(ValueError, match="a consumer"):
        Consumer(**{**right, **wrong})


async def test_keys_are_handled_side_by_side_and_each_in_order(
    database: Database, running: Running
) -> None:
    at_work: set[str] = set()
    most = 0
    told: list[tuple[str, int]] = []

    async def handle(_connection: Connection, received: IncomingMessage) -> None:
        nonlocal most
        assert received.key not in at_work
        at_work.add(received.key)
        most = max(most, len(at_work))
        await asyncio.sleep(0.05)
        told.append((received.key, received.sequence))
        at_work.remove(received.key)

    keys = [f"pay_{number}" for number in range(12)]
    await publish(database, [message(key, number) for number in (1, 2, 3) for key in keys])
    consumer = Consumer("trial", (Topic.EVENTS,), handle, abreast=4)
    await running.start(PostgresEngine(), consumer)

    async def are_told() -> bool:
        return len(told) == 3 * len(keys)

    await until(are_told)
    assert 1 < most <= 4
    for key in keys:
        assert [sequence for name, sequence in told if name == key] == [1, 2, 3]
