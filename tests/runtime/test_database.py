"""The pool and what it lends, on a real PostgreSQL that goes away while it is used."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from services.kernel.errors import Reason, Unavailable
from services.runtime.database import Connection, Database
from tests.runtime.trial_store import until

_END_OF_OTHERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'trial'
"""
_IS_ASLEEP = """
select true from pg_stat_activity
 where application_name = 'trial' and state = 'active' and wait_event = 'PgSleep'
"""


@pytest.fixture
async def onlooker(application_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(application_url)
    yield connection
    await connection.close()


def _assert_away(refusal: Unavailable) -> None:
    assert refusal.reason is Reason.DATABASE_UNAVAILABLE
    assert refusal.retry_after


async def test_a_connection_lost_in_a_query_is_told_as_unavailable(
    database: Database, onlooker: Connection
) -> None:
    async def sleep() -> None:
        async with database.connection() as connection:
            await connection.execute("select pg_sleep(60)")

    async def is_asleep() -> bool:
        return bool(await onlooker.fetchval(_IS_ASLEEP))

    asking = asyncio.create_task(sleep())
    await until(is_asleep)
    await onlooker.execute(_END_OF_OTHERS)
    with pytest.raises(Unavailable) as refusal:
        await asking
    _assert_away(refusal.value)
    async with database.connection() as connection:
        assert await connection.fetchval("select 1") == 1


async def test_a_connection_lost_between_queries_is_told_as_unavailable(
    database: Database, onlooker: Connection
) -> None:
    async def ask_twice() -> None:
        async with database.connection() as connection:
            await connection.execute("select 1")
            await onlooker.execute(_END_OF_OTHERS)
            await connection.execute("select 1")

    with pytest.raises(Unavailable) as refusal:
        await ask_twice()
    _assert_away(refusal.value)


async def test_a_connection_lost_in_a_transaction_is_told_as_unavailable(
    database: Database, onlooker: Connection
) -> None:
    async def work(connection: Connection) -> None:
        await onlooker.execute(_END_OF_OTHERS)
        await connection.execute("select 1")

    with pytest.raises(Unavailable) as refusal:
        await database.transaction(work)
    _assert_away(refusal.value)


async def test_a_connection_that_breaks_once_it_has_answered_takes_no_answer_back(
    database: Database, onlooker: Connection
) -> None:
    async with database.connection() as connection:
        answer = await connection.fetchval("select 1")
        await onlooker.execute(_END_OF_OTHERS)
    assert answer == 1


async def test_what_the_borrower_does_wrong_is_not_blamed_on_the_database(
    database: Database,
) -> None:
    for error in (FileNotFoundError("a file"), TimeoutError("a clock")):
        with pytest.raises(type(error)):
            async with database.connection():
                raise error
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.connection() as connection:
            await connection.execute("select * from nowhere")
    with pytest.raises(asyncpg.DataError):
        async with database.connection() as connection:
            await connection.fetchval("select $1::int", "no number")


async def test_a_pool_that_is_all_lent_is_busy(application_url: str) -> None:
    database = await Database.connect(
        application_url, application_name="trial", pool_size=1, patience=timedelta(seconds=1)
    )
    async with database.connection():
        with pytest.raises(Unavailable) as refusal:
            async with database.connection():
                raise AssertionError("a second connection was lent")
    assert refusal.value.reason is Reason.DATABASE_BUSY
    assert refusal.value.retry_after
    await database.close()


async def test_a_pool_left_on_a_standby_connects_anew(application_url: str, owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    name = await owner.fetchval("select current_database()")
    await owner.execute(f"alter database {name} set default_transaction_read_only = on")
    database = await Database.connect(application_url, application_name="trial")

    async def write(connection: Connection) -> None:
        await connection.execute("delete from runtime.commit_marks")

    with pytest.raises(Unavailable) as refusal:
        await database.transaction(write)
    _assert_away(refusal.value)
    await owner.execute("set default_transaction_read_only = off")
    await owner.execute(f"alter database {name} reset default_transaction_read_only")

    async def is_written() -> bool:
        # The pool may have connected anew at once, to what was a standby still.
        with suppress(Unavailable):
            await database.transaction(write)
            return True
        return False

    await until(is_written)
    await database.close()
    await owner.close()


async def test_only_a_connection_that_asks_for_it_is_ended_when_idle(database: Database) -> None:
    listener = await database.dedicated_connection(application_name="trial")
    assert await listener.fetchval("show idle_session_timeout") == "0"
    await listener.close()
    writer = await database.dedicated_connection(
        application_name="trial", ended_when_idle_for=timedelta(seconds=30)
    )
    assert await writer.fetchval("show idle_session_timeout") == "30s"
    await writer.close()


async def _startup_settings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if len(body) > 4:
            return body
        # The client asks for TLS first.
        writer.write(b"N")


async def test_over_tcp_the_server_is_told_to_look_for_clients_that_are_gone() -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await _startup_settings(reader, writer))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(
        f"postgresql://nobody:nothing@127.0.0.1:{port}/none",
        None,  # type: ignore[arg-type]  # nothing is borrowed
        patience=timedelta(seconds=10),
    )
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await database.dedicated_connection(application_name="trial")
    server.close()
    words = heard[0][4:].split(b"\0")
    settings = dict(zip(words[::2], words[1::2], strict=False))
    assert settings[b"tcp_keepalives_idle"] == b"10"
    assert settings[b"tcp_keepalives_interval"] == b"5"
    assert settings[b"tcp_keepalives_count"] == b"4"
    assert settings[b"tcp_user_timeout"] == b"30s"
