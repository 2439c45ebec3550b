"""One connection that commits batches, and knows what became of a COMMIT whose reply was lost.

Each transaction leaves its number in `runtime.commit_marks`, in the writer's own row. When a
connection dies inside COMMIT, a new one waits until the old transaction is over and then reads that
row: the mark is there exactly if the batch is. The transaction id alone would not do: after a crash
of the server an id whose records never reached the disk is given out again, and asking for its
status would tell the fate of a stranger.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg

from services.runtime.database import (
    DATABASE_ERRORS,
    Connection,
    Database,
    Isolation,
    is_connection_loss,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Parameters that PostgreSQL rejects, which here can only be a transaction id it never gave out.
_INVALID_PARAMETER: Final = "22023"

_LEAVE_MARK: Final = """
insert into runtime.commit_marks as mark (writer, batch) values ($1, $2)
on conflict (writer) do update
   set batch = excluded.batch, committed_in = default, committed_at = default
returning mark.committed_in::text
"""
_READ_MARK: Final = "select batch from runtime.commit_marks where writer = $1"
_DROP_MARK: Final = "delete from runtime.commit_marks where writer = $1"
_DROP_OLD_MARKS: Final = """
delete from runtime.commit_marks where committed_at < now() - interval '7 days'
"""


class CommitLost(Exception):
    """The connection died before COMMIT was sent, or the COMMIT did not happen: write it again."""


class Session:
    """The writer's connection; opened when needed, replaced when it breaks."""

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        isolation: Isolation,
        advisory_lock: int | None,
    ) -> None:
        self._database = database
        self._name = name
        self._begin = f"begin isolation level {isolation}"
        self._advisory_lock = advisory_lock
        self._writer = uuid.uuid4()
        self._batch = 0
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in a transaction; when this returns, it is committed.

        Raises CommitLost when the connection broke and nothing was written, and whatever `work` or
        PostgreSQL raised otherwise, rolled back.
        """
        connection = await self._open_connection()
        try:
            await self._enter(connection)
            answer = await work(connection)
            self._batch += 1
            xid = str(await connection.fetchval(_LEAVE_MARK, self._writer, self._batch))
        except BaseException as error:
            await self._back_out(connection, error)
            raise
        await self._commit(connection, xid)
        return answer

    async def close(self) -> None:
        """Take the writer's mark away and close."""
        if self._connection is not None and not self._connection.is_closed():
            with suppress(*DATABASE_ERRORS):
                await self._connection.execute(_DROP_MARK, self._writer)
            await self._connection.close()
        self._connection = None

    async def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._database.dedicated_connection(
                    application_name=self._name
                )
                await self._connection.execute(_DROP_OLD_MARKS)
            except DATABASE_ERRORS as error:
                raise CommitLost(f"cannot reach the database: {error}") from error
        return self._connection

    async def _enter(self, connection: Connection) -> None:
        # The lock is taken before BEGIN: inside, the snapshot would be older than the lock and
        # every wait for it would end in a serialization failure.
        if self._advisory_lock is not None:
            await connection.execute("select pg_advisory_lock($1)", self._advisory_lock)
        await connection.execute(self._begin)

    async def _leave(self, connection: Connection) -> None:
        if self._advisory_lock is not None:
            await connection.execute("select pg_advisory_unlock_all()")

    async def _back_out(self, connection: Connection, error: BaseException) -> None:
        """Roll back what `error` interrupted; a connection that cannot is thrown away."""
        try:
            if not connection.is_closed():
                await connection.execute("rollback")
                await self._leave(connection)
        except DATABASE_ERRORS:
            connection.terminate()
        if connection.is_closed() or is_connection_loss(error):
            connection.terminate()
            raise CommitLost(f"the connection broke: {error}") from error

    async def _commit(self, connection: Connection, xid: str) -> None:
        try:
            await connection.execute("commit")
        except DATABASE_ERRORS as error:
            if isinstance(error, asyncpg.PostgresError) and not is_connection_loss(error):
                # The server answered: a serialization failure or a deferred constraint.
                await self._back_out(connection, error)
                raise
            connection.terminate()
            if not await self._find_out(xid):
                raise CommitLost(f"the connection broke in COMMIT: {error}") from error
            return
        try:
            await self._leave(connection)
        except DATABASE_ERRORS:
            connection.terminate()

    async def _find_out(self, xid: str) -> bool:
        """Ask until the server knows whether the transaction is in the database.

        There is no time limit on purpose: to answer without knowing would be to lose or double a
        payment, and the callers have deadlines of their own.
        """
        _log.warning("lost the reply to COMMIT of transaction %s; finding out", xid)
        pause_seconds = 0.01
        while True:
            try:
                return await self._ask(xid)
            except DATABASE_ERRORS as error:
                _log.warning("cannot find out about transaction %s yet: %s", xid, error)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(1.0, pause_seconds * 2)

    async def _ask(self, xid: str) -> bool:
        connection = await self._database.dedicated_connection(application_name=self._name)
        try:
            while await _is_running(connection, xid):  # noqa: ASYNC110 -- the server tells nobody
                await asyncio.sleep(0.01)
            return bool(await connection.fetchval(_READ_MARK, self._writer) == self._batch)
        finally:
            await connection.close()


async def _is_running(connection: Connection, xid: str) -> bool:
    try:
        status = await connection.fetchval("select pg_xact_status($1::text::xid8)", xid)
    except asyncpg.PostgresError as error:
        if error.sqlstate == _INVALID_PARAMETER:
            return False
        raise
    return bool(status == "in progress")
