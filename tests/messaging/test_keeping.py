"""Depths are told as they are, and what is history is forgotten in time."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from services.kernel.clock import ManualClock
from services.runtime.database import Connection, Database
from services.runtime.messaging import dead_letters
from services.runtime.messaging.consumer import Consumer, Unreadable
from services.runtime.messaging.dead_letters import ReplaySelection
from services.runtime.messaging.depths import DepthSampler
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.retention import Retention
from tests.messaging.conftest import Running
from tests.messaging.engines import PostgresEngine
from tests.messaging.system import (
    all_relayed,
    count,
    message,
    metric,
    publish,
    recording,
    until,
    until_count,
    until_effects,
)


async def _fail(_connection: Connection, _received: IncomingMessage) -> None:
    raise Unreadable("never")


async def test_the_gauges_tell_how_much_waits_and_for_how_long(
    database: Database, metrics: MessagingMetrics, registry: CollectorRegistry, running: Running
) -> None:
    idle = Consumer("idle", (Topic.COMMANDS,), recording("idle"))
    blown = Consumer("blown", (Topic.EVENTS,), _fail)
    await running.start(PostgresEngine(), idle, blown)
    await publish(database, [message("pay_1", 1), message("pay_2", 1)])
    await until_count(database, "select count(*) from messaging.dead_letters", 2)
    await until(lambda: all_relayed(database))
    await running.close()
    await publish(database, [message("pay_1", n) for n in (2, 3, 4)])
    async with database.connection() as connection:
        await connection.execute(
            """update messaging.outbox set written_at = now() - interval '90 seconds',
                      refusals = case when sequence = 4 then 1 else 0 end
                where relayed_at is null"""
        )
    assert not await DepthSampler(database, metrics).sample()
    assert metric(registry, "messaging_outbox_lag_rows") == 3
    assert 90 <= metric(registry, "messaging_outbox_lag_age_seconds") < 120
    assert metric(registry, "messaging_outbox_parked_rows") == 1
    assert metric(registry, "messaging_dlq_depth", consumer="blown") == 2
    assert registry.get_sample_value("messaging_dlq_depth", {"consumer": "idle"}) == 0
    assert registry.get_sample_value("messaging_inbox_depth", {"consumer": "idle"}) == 0


async def test_depths_fall_back_to_nothing(
    database: Database, metrics: MessagingMetrics, registry: CollectorRegistry, running: Running
) -> None:
    sampler = DepthSampler(database, metrics)
    await publish(database, [message("pay_1", 1)])
    await sampler.sample()
    assert metric(registry, "messaging_outbox_lag_rows") == 1
    await running.start(PostgresEngine(), Consumer("trial", (Topic.EVENTS,), recording("trial")))
    await until_effects(database, 1)
    await sampler.sample()
    assert metric(registry, "messaging_outbox_lag_rows") == 0
    assert metric(registry, "messaging_outbox_lag_age_seconds") == 0
    assert metric(registry, "messaging_relayed_total") == 1


async def test_history_is_forgotten_and_what_waits_or_died_is_not(
    database: Database, running: Running
) -> None:
    blown = Consumer("blown", (Topic.EVENTS,), _fail)
    trial = Consumer("trial", (Topic.EVENTS,), recording("trial"))
    await running.start(PostgresEngine(), trial, blown)
    await publish(database, [message(f"pay_{n}", 1) for n in range(10)])
    await until_effects(database, 10)
    await until_count(database, "select count(*) from messaging.dead_letters", 10)
    await until(lambda: all_relayed(database))
    await running.close()
    await publish(database, [message("pay_waits", 1)])
    clock = ManualClock(datetime.now(UTC))
    retention = Retention(database, clock)
    outbox, inbox = "select count(*) from messaging.outbox", "select count(*) from messaging.inbox"

    await retention.forget_some()
    assert (await count(database, outbox), await count(database, inbox)) == (21, 20)
    clock.advance(timedelta(days=8))
    await retention.forget_some()
    assert (await count(database, outbox), await count(database, inbox)) == (1, 20)
    clock.advance(timedelta(days=14))
    assert not await retention.forget_some()
    assert (await count(database, outbox), await count(database, inbox)) == (1, 10)
    assert await count(database, f"{inbox} where state = 'dead'") == 10
    assert await count(database, "select count(*) from messaging.dead_letters") == 10


async def test_replayed_letters_and_their_replays_are_forgotten(
    database: Database, running: Running
) -> None:
    await running.start(PostgresEngine(), Consumer("blown", (Topic.EVENTS,), _fail))
    await publish(database, [message("pay_1", 1)])
    letters = "select count(*) from messaging.dead_letters"
    await until_count(database, letters, 1)

    async def replay(connection: Connection) -> int:
        return await dead_letters.replay(connection, "again", ReplaySelection())

    assert await database.transaction(replay) == 1
    await until_count(database, letters, 2)
    retention = Retention(database, ManualClock(datetime.now(UTC) + timedelta(days=22)))
    await retention.forget_some()
    assert await count(database, letters) == 1
    assert await count(database, "select count(*) from messaging.replays") == 0


async def test_much_history_is_forgotten_some_at_a_time(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            """insert into messaging.outbox (id, topic, key, partition, sequence, type, payload,
                                             headers, occurred_at, relayed_at)
               select 'evt_' || n, 'payment.events', 'pay_1', 0, n, 'T', '', '{}', now(), now()
                 from generate_series(1, 6000) as n"""
        )
    retention = Retention(database, ManualClock(datetime.now(UTC) + timedelta(days=30)))
    assert await retention.forget_some()
    assert not await retention.forget_some()
    assert await count(database, "select count(*) from messaging.outbox") == 0


def test_the_inbox_must_remember_longer_than_the_bus_can_deliver(database: Database) -> None:
    with pytest.raises(ValueError, match="remember for longer"):
        Retention(
            database,
            ManualClock(datetime.now(UTC)),
            outbox_kept=timedelta(days=7),
            inbox_kept=timedelta(days=7),
        )
