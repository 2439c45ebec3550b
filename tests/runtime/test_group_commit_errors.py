"""Whatever goes wrong in a batch, each of its callers hears of their own unit, in the family."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest

from services.kernel.errors import Internal, Reason, SwitchyardError, Unavailable
from services.runtime.database import Connection, Database
from services.runtime.group_commit import GroupCommit
from services.runtime.group_commit.verdict import of_family
from tests.runtime.trial_store import TrialStore, Write, count, until

_UNLUCKY = 13


class FickleStore(TrialStore):
    """Fails in its own code for one amount."""

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        if any(unit.amount == _UNLUCKY for unit in units):
            raise ValueError("unlucky")
        return await super().write(connection, units)


class SlowStore(TrialStore):
    """Too slow for its connection when it is given more than it can bear."""

    def __init__(self, units_max: int) -> None:
        self._units_max = units_max

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        if len(units) > self._units_max:
            await connection.execute("select pg_sleep(60)")
        return await super().write(connection, units)


class StandbyStore(TrialStore):
    """Finds itself on a standby after its first batch, as after a failover."""

    def __init__(self) -> None:
        self._has_failed_over = False

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        if not self._has_failed_over:
            self._has_failed_over = True
            await connection.execute("set default_transaction_read_only = on")
        return await super().write(connection, units)


class NotingStore(TrialStore):
    """Notes what it is given together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        self.batches.append([unit.amount for unit in units])
        return await super().write(connection, units)


def _impatient(url: str) -> Database:
    return Database(
        url,
        None,  # type: ignore[arg-type]  # group commit does not use the pool
        patience=timedelta(seconds=10),
        silence=timedelta(seconds=2),
    )


async def test_errors_of_every_kind_in_one_call_are_told_unit_by_unit(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = GroupCommit(database, FickleStore(), name="trial")
    amounts = [1, 0, 2, 2**70, 3, _UNLUCKY, 4]
    with caplog.at_level(logging.ERROR):
        verdicts = await writer.submit_each(Write(f"a{amount}", amount) for amount in amounts)
    await writer.close()
    causes = [
        type(verdict.__cause__) if isinstance(verdict, Internal) else verdict
        for verdict in verdicts
    ]
    assert causes == [1, asyncpg.CheckViolationError, 2, asyncpg.DataError, 3, ValueError, 4]
    assert await count(database, "select sum(amount) from trial.writes") == 1 + 2 + 3 + 4
    logged = [type(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert sorted(logged, key=str) == sorted(
        [asyncpg.CheckViolationError, asyncpg.DataError, ValueError], key=str
    )


@pytest.mark.parametrize(
    ("error", "family", "reason"),
    [
        (asyncpg.SerializationError("x"), Unavailable, Reason.DATABASE_BUSY),
        (asyncpg.DeadlockDetectedError("x"), Unavailable, Reason.DATABASE_BUSY),
        (asyncpg.QueryCanceledError("x"), Unavailable, Reason.DATABASE_BUSY),
        (TimeoutError("x"), Unavailable, Reason.DATABASE_BUSY),
        (asyncpg.DiskFullError("x"), Unavailable, Reason.DATABASE_UNAVAILABLE),
        (asyncpg.OutOfMemoryError("x"), Unavailable, Reason.DATABASE_UNAVAILABLE),
        (asyncpg.ReadOnlySQLTransactionError("x"), Unavailable, Reason.DATABASE_UNAVAILABLE),
        (asyncpg.ConnectionDoesNotExistError("x"), Unavailable, Reason.DATABASE_UNAVAILABLE),
        (ConnectionResetError("x"), Unavailable, Reason.DATABASE_UNAVAILABLE),
        (asyncpg.UniqueViolationError("x"), Internal, Reason.INTERNAL),
        (KeyError("x"), Internal, Reason.INTERNAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_becomes_one_of_the_family_with_its_cause(
    error: Exception, family: type[SwitchyardError], reason: Reason
) -> None:
    told = of_family(error)
    assert type(told) is family
    assert told.reason is reason
    assert told.__cause__ is error


async def test_a_writer_left_on_a_standby_connects_anew(database: Database) -> None:
    writer = GroupCommit(database, StandbyStore(), name="trial")
    assert await writer.submit(Write("a")) == 1
    assert await writer.submit(Write("a")) == 2
    assert writer.counts.lost_connections == 1
    await writer.close()


async def test_a_database_that_only_reads_is_asked_again_until_it_writes(
    database: Database, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    name = await owner.fetchval("select current_database()")
    await owner.execute(f"alter database {name} set default_transaction_read_only = on")
    writer = GroupCommit(database, TrialStore(), name="trial")
    waiting = asyncio.create_task(writer.submit(Write("a")))

    async def has_been_tried_twice() -> bool:
        return writer.counts.lost_connections >= 2

    async with asyncio.timeout(30):
        await until(has_been_tried_twice)
        await owner.execute("set default_transaction_read_only = off")
        await owner.execute(f"alter database {name} reset default_transaction_read_only")
        assert await waiting == 1
    await writer.close()
    await owner.close()


async def test_a_batch_too_slow_for_one_statement_is_written_in_parts(
    database: Database, application_url: str
) -> None:
    writer = GroupCommit(_impatient(application_url), SlowStore(units_max=1), name="slow")
    assert await writer.submit_each(Write(aggregate) for aggregate in "ab") == [1, 1]
    assert writer.counts.bisections == 1
    assert writer.counts.lost_connections == 0
    await writer.close()
    assert await count(database, "select count(*) from trial.writes") == 2


async def test_splitting_what_is_too_slow_ends_with_its_callers_patience(
    database: Database, application_url: str
) -> None:
    writer = GroupCommit(
        _impatient(application_url),
        SlowStore(units_max=0),
        name="slow",
        patience=timedelta(seconds=0.25),
    )
    verdicts = await writer.submit_each(Write(aggregate) for aggregate in "abcdefgh")
    assert {getattr(verdict, "reason", None) for verdict in verdicts} == {Reason.DATABASE_BUSY}
    assert writer.counts.bisections == 0
    await writer.close()
    assert await count(database, "select count(*) from trial.writes") == 0


async def test_a_batch_is_bounded_by_weight_and_holds_one_unit_at_least(
    database: Database,
) -> None:
    store = NotingStore()
    writer: GroupCommit[Write, int] = GroupCommit(
        database, store, name="trial", weigh=lambda unit: unit.amount, batch_weight=10
    )
    weights = [4, 5, 6, 50, 1, 1, 10, 3]
    answers = await writer.submit_each(
        Write(f"{number}", weight) for number, weight in enumerate(weights)
    )
    await writer.close()
    assert answers == weights
    assert store.batches == [[4, 5], [6], [50], [1, 1], [10], [3]]


async def test_without_weights_a_batch_is_bounded_in_units(database: Database) -> None:
    store = NotingStore()
    writer: GroupCommit[Write, int] = GroupCommit(database, store, name="trial", batch_size=3)
    await writer.submit_each(Write(f"{number}", 100) for number in range(7))
    await writer.close()
    assert [len(batch) for batch in store.batches] == [3, 3, 1]
