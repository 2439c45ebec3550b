"""A writer whose network goes silent holds up nobody else, and learns the truth in the end."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from services.kernel.errors import Unavailable
from services.runtime.database import Connection, Database, Isolation
from services.runtime.group_commit import GroupCommit
from tests.runtime.cutting_proxy import COMMIT, CuttingProxy
from tests.runtime.trial_store import TrialStore, Write, count, until, until_no_session

_LOCK = 77
_LOCKED_IN_TRANSACTION = """
select count(*) from pg_stat_activity join pg_locks using (pid)
 where application_name = 'silent' and locktype = 'advisory' and granted
   and state = 'idle in transaction'
"""


@pytest.fixture
async def proxy(server_socket: Path, short_tmp_path: Path) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(server_socket, short_tmp_path, seed=7) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(application_url: str, server_socket: Path, proxy: CuttingProxy) -> Database:
    return Database(
        application_url.replace(str(server_socket.parent), str(proxy.socket.parent)),
        None,  # type: ignore[arg-type]  # group commit does not use the pool
        patience=timedelta(seconds=5),
        silence=timedelta(seconds=2),
    )


def _writer(
    database: Database, name: str, patience: timedelta = timedelta(seconds=30)
) -> GroupCommit[Write, int]:
    return GroupCommit(
        database,
        TrialStore(),
        name=name,
        isolation=Isolation.SERIALIZABLE,
        advisory_lock=_LOCK,
        patience=patience,
    )


async def test_a_writer_gone_silent_in_commit_leaves_no_lock_behind(
    database: Database, through_proxy: Database, proxy: CuttingProxy
) -> None:
    silent, other = _writer(through_proxy, "silent"), _writer(database, "other")
    proxy.fall_silent_after(COMMIT)
    lost_reply = asyncio.create_task(silent.submit(Write("a")))
    await proxy.is_silent.wait()
    async with asyncio.timeout(20):
        assert await other.submit(Write("b")) == 1
        assert await lost_reply == 1
    await silent.close()
    await other.close()
    assert await count(database, "select count(*) from trial.writes where aggregate = 'a'") == 1


@pytest.mark.parametrize("words", [rb"pg_advisory_lock", rb"begin isolation level"])
async def test_a_writer_gone_silent_with_the_lock_is_in_a_transaction_that_the_server_ends(
    database: Database, through_proxy: Database, proxy: CuttingProxy, words: bytes
) -> None:
    silent = _writer(through_proxy, "silent", patience=timedelta(seconds=0.1))
    proxy.fall_silent_after(re.compile(words))
    lost = asyncio.create_task(silent.submit(Write("a")))
    await proxy.is_silent.wait()

    async def holds_the_lock_in_a_transaction() -> bool:
        return await count(database, _LOCKED_IN_TRANSACTION) == 1

    await until(holds_the_lock_in_a_transaction)
    with pytest.raises(Unavailable):
        await lost
    await silent.close()
    session = await database.dedicated_connection(application_name="trial")
    assert await session.fetchval("show idle_in_transaction_session_timeout") == "10s"
    await session.close()


class TimedStore(TrialStore):
    """Answers with the time of its transaction, in microseconds."""

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        now = await connection.fetchval("select (extract(epoch from now()) * 1e6)::bigint")
        return [now] * len(units)


async def test_a_writer_that_waited_for_the_lock_writes_at_a_time_after_that(
    database: Database,
) -> None:
    holder = await database.dedicated_connection(application_name="holder")
    await holder.execute(f"select pg_advisory_lock({_LOCK})")
    writer = GroupCommit(database, TimedStore(), name="trial", advisory_lock=_LOCK)
    written_at = asyncio.create_task(writer.submit(Write("a")))

    async def waits_for_the_lock() -> bool:
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        return await count(database, waiting) > 0

    await until(waits_for_the_lock)
    released_at = await holder.fetchval(
        "select (extract(epoch from clock_timestamp()) * 1e6)::bigint"
    )
    await holder.close()
    assert await written_at > released_at
    await writer.close()


async def test_a_lost_commit_is_settled_with_the_lock_held(
    database: Database, through_proxy: Database, proxy: CuttingProxy
) -> None:
    writer = _writer(through_proxy, "cut")
    for cut in range(20):
        proxy.cut_next()
        answers = await asyncio.gather(*(writer.submit(Write(f"{cut}:{n}")) for n in range(5)))
        assert answers == [1] * 5
    await writer.close()
    assert len(proxy.cuts_made) == 20
    assert await count(database, "select count(*) from trial.writes") == 100


async def test_the_truth_is_found_though_finding_out_breaks_too(
    database: Database, through_proxy: Database, proxy: CuttingProxy
) -> None:
    writer = _writer(through_proxy, "cut")
    reading_back = re.compile(rb"select batch from runtime.commit_marks")
    proxy.fall_silent_after(COMMIT)
    proxy.cut_before(reading_back, times=3)
    async with asyncio.timeout(30):
        assert await writer.submit(Write("a")) == 1
    await writer.close()
    assert proxy.cuts_left_before(reading_back) == 0
    assert await count(database, "select count(*) from trial.writes") == 1


async def test_an_idle_writers_session_is_ended_and_its_next_caller_does_not_notice(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = _writer(database, "idler")
    writer._session._idle = timedelta(seconds=0.2)
    assert await writer.submit(Write("a")) == 1
    await until_no_session(database, "idler")
    ended = writer._session._connection
    assert ended is not None
    async with asyncio.timeout(10):
        # The client hears of it a moment after the server has forgotten the session.
        while not ended.is_closed():  # noqa: ASYNC110 -- it is told by no event
            await asyncio.sleep(0.01)
    assert await writer.submit(Write("a")) == 2
    assert writer.counts.lost_connections == 0
    await writer.close()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_session_that_the_server_ends_is_replaced_for_the_next_callers(
    database: Database,
) -> None:
    writer = _writer(database, "idler")
    assert await writer.submit(Write("a")) == 1
    async with database.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where application_name = 'idler'"
        )
    answers = await asyncio.gather(*(writer.submit(Write("a")) for _ in range(3)))
    assert answers == [2, 3, 4]
    await writer.close()
