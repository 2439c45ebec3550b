"""kill -9 under load: relays and workers die at any moment, and every effect happens once.

The routine run kills a score of times; SWITCHYARD_TEST_LONG makes that two hundred.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from services.runtime.database import Database
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.message import Topic
from services.runtime.messaging.metrics import MessagingMetrics
from tests.messaging.engines import LONG, Engine, KafkaEngine
from tests.messaging.nursery import Nursery
from tests.messaging.system import (
    Load,
    assert_all_arrived_once_in_order,
    count,
    effects,
    message,
    publish,
    recording,
    sequences_by_key,
    until,
    until_effects,
)

_KILLS = 200 if LONG else 20
_BROKER_AWAY_SECONDS = 60.0 if LONG else 3.0


@pytest.fixture
async def nursery(
    engine: Engine, database: Database, application_url: str, metrics: MessagingMetrics
) -> AsyncIterator[Nursery]:
    if engine.name == "postgres":
        # So that what is relayed before the first worker is up is known to be for it.
        await engine.bus(database, metrics).open(
            [Consumer("trial", (Topic.EVENTS,), recording("trial"))]
        )
    nursery = Nursery(application_url, engine.bootstrap)
    yield nursery
    nursery.close()


async def test_kill_9_of_relays_and_workers_under_load_loses_and_doubles_nothing(
    database: Database, nursery: Nursery
) -> None:
    chance = random.Random(9)
    processes = [(role, nursery.start(role)) for role in ("relay", "worker", "relay", "worker")]
    load = Load(database, pause_seconds=0.05)
    load.start()
    await until_effects(database, 100)
    for _ in range(_KILLS):
        await asyncio.sleep(chance.uniform(0.02, 0.4))
        role, pid = processes.pop(chance.randrange(len(processes)))
        nursery.kill(pid)
        processes.append((role, nursery.start(role)))
    await load.stop()
    await assert_all_arrived_once_in_order(database, load)


async def test_a_message_that_kills_its_worker_ends_among_the_dead_letters(
    database: Database, nursery: Nursery
) -> None:
    nursery.start("relay")
    worker = nursery.start("worker")
    innocent = [message(f"pay_{n}", 1) for n in range(20)]
    deadly = message("pay_deadly", 1, type="Deadly")
    await publish(database, [*innocent[:10], deadly, *innocent[10:], message("pay_deadly", 2)])

    async def buried() -> bool:
        nonlocal worker
        if not nursery.is_alive(worker):
            worker = nursery.start("worker")
        return (
            await count(database, "select count(*) from messaging.inbox where state = 'dead'") > 0
        )

    await until(buried, timeout_seconds=60)
    rows = await until_effects(database, 21)
    assert sequences_by_key(rows) == {**{f"pay_{n}": [1] for n in range(20)}, "pay_deadly": [2]}
    async with database.connection() as connection:
        letter = await connection.fetchrow("select * from messaging.dead_letters")
    assert letter is not None
    assert letter["event_id"] == deadly.id
    assert letter["payload"] == deadly.payload
    assert "died while handling it, 5 tries" in letter["error"]


async def test_a_broker_that_stops_under_load_delays_and_loses_nothing(
    broker_engine: KafkaEngine, database: Database, application_url: str
) -> None:
    nursery = Nursery(application_url, broker_engine.bootstrap)
    try:
        for role in ("relay", "worker"):
            nursery.start(role)
        load = Load(database, pause_seconds=0.2)
        load.start()
        await until_effects(database, 100)
        await asyncio.to_thread(broker_engine.stop_broker)
        written_before = load.total
        await asyncio.sleep(_BROKER_AWAY_SECONDS)
        assert load.total > written_before, "writers go on while the broker is away"
        seen_while_away = len(await effects(database))
        await asyncio.to_thread(broker_engine.start_broker)
        await load.stop()
        assert seen_while_away < load.total
        await assert_all_arrived_once_in_order(database, load)
    finally:
        nursery.close()
