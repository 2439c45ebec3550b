"""The relay misses nothing that commits late, keeps keys in order, and shares partitions."""

import asyncio
import random

from services.runtime.database import Connection, Database
from services.runtime.messaging import outbox
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.message import PARTITIONS, Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.partitions import HeldPartitions
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.relay import Relay
from tests.messaging.conftest import Running
from tests.messaging.engines import PostgresEngine
from tests.messaging.system import (
    all_relayed,
    count,
    message,
    publish,
    recording,
    sequences_by_key,
    until,
    until_effects,
)

_WRITERS = 8
_CHANGES = 40
_KEYS = [f"pay_{n}" for n in range(12)]


async def _change_aggregates(database: Database, seed: int) -> None:
    """Change an aggregate again and again, holding its row, and commit late."""
    chance = random.Random(seed)

    async def change(connection: Connection) -> None:
        key = chance.choice(_KEYS)
        version = await connection.fetchval(
            "update trial.aggregates set version = version + 2 where key = $1 returning version",
            key,
        )
        await outbox.append(connection, [message(key, version - 1), message(key, version)])
        await asyncio.sleep(chance.uniform(0, 0.03))

    for _ in range(_CHANGES):
        await database.transaction(change)


class WatermarkPoller:
    """The relay that is not to be built: it asks for what is greater than the last it saw."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = 0
        self.seen: set[str] = set()

    async def poll(self) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select id, position from messaging.outbox where position > $1 order by position",
                self._last,
            )
        self.seen.update(row["id"] for row in rows)
        self._last = max([self._last, *(row["position"] for row in rows)])

    async def poll_until_cancelled(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(0.002)


async def test_eight_writers_that_commit_late_and_two_relays_skip_nothing_and_keep_order(
    database: Database, owner_connection: Connection, running: Running
) -> None:
    await owner_connection.execute(
        """create table trial.aggregates (key text primary key, version bigint not null);
           grant select, update on trial.aggregates to switchyard_app"""
    )
    await owner_connection.execute(
        "insert into trial.aggregates select key, 0 from unnest($1::text[]) as keys (key)", _KEYS
    )
    consumer = Consumer("trial", (Topic.EVENTS,), recording("trial"))
    await running.start(PostgresEngine(), consumer, relays=2)
    watermark = WatermarkPoller(database)
    polling = asyncio.create_task(watermark.poll_until_cancelled())
    await asyncio.gather(*(_change_aggregates(database, seed) for seed in range(_WRITERS)))
    total = _WRITERS * _CHANGES * 2
    rows = await until_effects(database, total)
    polling.cancel()
    await watermark.poll()
    versions = await owner_connection.fetch("select key, version from trial.aggregates")
    assert sequences_by_key(rows) == {
        row["key"]: list(range(1, row["version"] + 1)) for row in versions if row["version"]
    }
    # The test of the test: what commits late here is really lost by a relay with a watermark.
    assert len(watermark.seen) < total


async def test_a_watermark_loses_the_transaction_that_began_first_and_the_relay_does_not(
    database: Database, running: Running
) -> None:
    await running.start(PostgresEngine(), Consumer("trial", (Topic.EVENTS,), recording("trial")))
    watermark = WatermarkPoller(database)
    async with database.connection() as connection:
        late = connection.transaction()
        await late.start()
        await outbox.append(connection, [message("pay_late", 1)])
        await publish(database, [message("pay_early", 1)])
        await until_effects(database, 1)
        await watermark.poll()
        await late.commit()
    await watermark.poll()
    rows = await until_effects(database, 2)
    assert sequences_by_key(rows) == {"pay_early": [1], "pay_late": [1]}
    assert len(watermark.seen) == 1


async def test_partitions_are_held_by_one_at_a_time_and_shared_evenly(database: Database) -> None:
    async with database.connection() as first, database.connection() as second:
        one, two = HeldPartitions(first, "trial"), HeldPartitions(second, "trial")
        await one.announce()
        await one.balance()
        assert sorted(one.numbers) == list(range(PARTITIONS))
        await two.announce()
        await two.balance()
        assert two.numbers == []
        await one.balance()
        await two.balance()
        assert len(one.numbers) == len(two.numbers) == PARTITIONS // 2
        assert sorted(one.numbers + two.numbers) == list(range(PARTITIONS))


async def test_partitions_of_a_connection_that_is_lost_are_taken_over(database: Database) -> None:
    lost = await database.dedicated_connection(application_name="lost")
    gone = HeldPartitions(lost, "trial")
    await gone.announce()
    await gone.balance()
    async with database.connection() as connection:
        heir = HeldPartitions(connection, "trial")
        await heir.announce()
        lost.terminate()
        for _ in range(200):
            await heir.balance()
            if len(heir.numbers) == PARTITIONS:
                break
            await asyncio.sleep(0.02)
        assert len(heir.numbers) == PARTITIONS


async def test_a_relay_goes_on_when_the_database_drops_its_connection(
    database: Database, running: Running
) -> None:
    await running.start(PostgresEngine(), Consumer("trial", (Topic.EVENTS,), recording("trial")))
    await publish(database, [message("pay_1", 1)])
    await until_effects(database, 1)
    dropped = await count(
        database,
        """select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database()
              and application_name in ('switchyard relay', 'switchyard worker trial')""",
    )
    assert dropped == 2
    await publish(database, [message("pay_1", 2)])
    assert sequences_by_key(await until_effects(database, 2)) == {"pay_1": [1, 2]}


async def test_a_consumer_that_registers_while_relays_are_at_work_misses_nothing(
    database: Database, metrics: MessagingMetrics
) -> None:
    bus = PostgresBus(database)
    relay = Relay(database, bus, metrics=metrics)
    relay.start()
    publishing = asyncio.gather(*(publish(database, [message(f"pay_{n}", 1)]) for n in range(300)))
    for number in range(5):
        consumer = Consumer(f"late_{number}", (Topic.EVENTS,), recording("late"))
        await bus.open([consumer])
        await asyncio.sleep(0.01)
    await publishing
    await until(lambda: all_relayed(database))
    await relay.close()
    async with database.connection() as connection:
        received = await connection.fetch(
            "select consumer, count(*) from messaging.inbox group by consumer order by consumer"
        )
    assert [tuple(row) for row in received] == [(f"late_{n}", 300) for n in range(5)]
