"""What every bus does alike: all that is committed arrives, in order per key, with one effect."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from services.runtime.database import Connection, Database
from services.runtime.messaging import outbox
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.message import IncomingMessage, Topic
from tests.messaging.conftest import Running
from tests.messaging.engines import Engine
from tests.messaging.system import (
    Load,
    all_relayed,
    assert_all_arrived_once_in_order,
    count,
    effects,
    message,
    metric,
    publish,
    recording,
    sequences_by_key,
    until,
    until_effects,
)


def _consumer(name: str = "trial", *topics: Topic) -> Consumer:
    return Consumer(name, topics or (Topic.EVENTS,), recording(name))


async def test_what_is_written_reaches_the_handler_as_it_was(
    engine: Engine, database: Database, running: Running
) -> None:
    received: list[IncomingMessage] = []

    async def keep(_connection: Connection, arrived: IncomingMessage) -> None:
        received.append(arrived)

    await running.start(engine, Consumer("trial", (Topic.EVENTS,), keep))
    sent = message("pay_1", 7, payload=bytes(range(256)))
    await publish(database, [sent])
    await until(lambda: _is(bool(received)))
    assert received == [
        IncomingMessage(
            id=sent.id,
            topic=sent.topic,
            key="pay_1",
            sequence=7,
            type=sent.type,
            payload=sent.payload,
            occurred_at=sent.occurred_at,
            headers=sent.headers,
            attempt=1,
        )
    ]


async def test_every_message_of_every_key_arrives_once_and_in_order(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer(), relays=2)
    for first in range(1, 51, 5):
        batch = [message(f"pay_{k}", first + n) for k in range(40) for n in range(5)]
        await publish(database, batch)
    rows = await until_effects(database, 2000)
    assert sequences_by_key(rows) == {f"pay_{k}": list(range(1, 51)) for k in range(40)}
    await until(lambda: all_relayed(database))


async def test_a_transaction_that_rolls_back_sends_nothing(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer())

    async def refuse(connection: Connection) -> None:
        await outbox.append(connection, [message("pay_1", 1)])
        raise LookupError("no such payment")

    with pytest.raises(LookupError):
        await database.transaction(refuse)
    await publish(database, [message("pay_1", 2)])
    assert sequences_by_key(await until_effects(database, 1)) == {"pay_1": [2]}


async def test_each_consumer_gets_the_topics_it_wants(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(
        engine,
        _consumer("events", Topic.EVENTS),
        _consumer("both", Topic.EVENTS, Topic.COMMANDS),
    )
    await publish(
        database, [message("pay_1", 1), message("pay_1", 2, topic=Topic.COMMANDS), message("a", 1)]
    )
    both = await until_effects(database, 3, "both")
    events = await until_effects(database, 2, "events")
    assert {row["event_id"] for row in events} < {row["event_id"] for row in both}


async def test_a_consumer_that_comes_later_begins_with_the_oldest_message_kept(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer("early"))
    await publish(database, [message("pay_1", n) for n in range(1, 11)])
    await until_effects(database, 10, "early")
    await running.start(engine, _consumer("late"), relays=0)
    await publish(database, [message("pay_1", 11)])
    rows = await until_effects(database, 11, "late")
    assert sequences_by_key(rows) == {"pay_1": list(range(1, 12))}


async def test_an_event_that_is_relayed_again_has_no_second_effect(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer())
    await publish(database, [message("pay_1", n) for n in range(1, 4)])
    await until_effects(database, 3)
    async with database.connection() as connection:
        # As if the relay had died between the bus's acknowledgement and its own mark.
        await connection.execute("update messaging.outbox set relayed_at = null")
    await publish(database, [message("pay_1", 4)])
    rows = await until_effects(database, 4)
    await until(lambda: all_relayed(database))
    await publish(database, [message("pay_1", 5)])
    rows = await until_effects(database, 5)
    assert sequences_by_key(rows) == {"pay_1": [1, 2, 3, 4, 5]}


async def test_what_was_handled_and_forgotten_does_not_come_again(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer())
    await publish(database, [message("pay_1", n) for n in (1, 2, 3)])
    await until_effects(database, 3)
    await until(lambda: all_relayed(database))
    await running.close()
    async with database.connection() as connection:
        await connection.execute("delete from messaging.inbox")
    await running.start(engine, _consumer())
    await publish(database, [message("pay_1", 4)])
    assert sequences_by_key(await until_effects(database, 4)) == {"pay_1": [1, 2, 3, 4]}


async def test_database_connections_that_break_again_and_again_cost_no_message(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer())
    load = Load(database, pause_seconds=0.1)
    load.start()
    broken = 0
    while broken < 4:
        await asyncio.sleep(0.2)
        broken += await count(
            database,
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and application_name like 'switchyard %'",
        )
    await load.stop()
    await assert_all_arrived_once_in_order(database, load)


async def test_two_processes_share_the_work_and_one_takes_over(
    engine: Engine, database: Database, running: Running, registry: CollectorRegistry
) -> None:
    by_worker: dict[str, int] = {"one": 0, "two": 0}

    def worker(name: str) -> Consumer:
        async def handle(connection: Connection, arrived: IncomingMessage) -> None:
            by_worker[name] += 1
            await recording("trial")(connection, arrived)

        return Consumer("trial", (Topic.EVENTS,), handle)

    await running.start(engine, worker("one"))
    second = running.work(worker("two"))
    published = 0

    async def both_work() -> bool:
        nonlocal published
        await publish(database, [message(f"{published}_{n}", 1) for n in range(20)])
        published += 20
        await asyncio.sleep(0.05)
        return min(by_worker.values()) > 0

    await until(both_work)
    await until_effects(database, published)
    await second.close()
    await publish(database, [message(f"last_{n}", 1) for n in range(50)])
    rows = await until_effects(database, published + 50)
    assert len({row["event_id"] for row in rows}) == len(rows) == published + 50
    handled = metric(registry, "messaging_handled_total", consumer="trial")
    assert handled == published + 50


async def test_an_idle_system_asks_the_database_about_twice_a_second_for_each_part(
    engine: Engine, database: Database, running: Running
) -> None:
    await running.start(engine, _consumer())
    await publish(database, [message("pay_1", 1)])
    await until_effects(database, 1)
    # Sessions tell the server what they did about once a second, and a second late.
    await asyncio.sleep(2)
    before = await _transactions(database)
    await asyncio.sleep(1.5)
    # Each part polls and balances once a second; the rest is what this test asks itself.
    assert await _transactions(database) - before < 30
    assert len(await effects(database)) == 1


async def _transactions(database: Database) -> int:
    async with database.connection() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        return int(
            await connection.fetchval(
                "select xact_commit + xact_rollback from pg_stat_database"
                " where datname = current_database()"
            )
        )


async def _is(truth: bool) -> bool:
    return truth
