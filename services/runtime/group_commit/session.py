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
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self, TypeVar

import asyncpg

from services.runtime.database import (
    DATABASE_ERRORS,
    Connection,
    Database,
    Isolation,
    is_connection_loss,
    is_retryable,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Parameters that PostgreSQL rejects, which here can only be a transaction id it never gave out.
_INVALID_PARAMETER: Final = "22023"

_UNLOCK: Final = "select pg_advisory_unlock_all()"

# A backstop: whatever becomes of the writer, what its session holds is free again after so long.
_IDLE: Final = timedelta(seconds=30)
_ROLLBACK_SECONDS: Final = 5.0

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


@dataclass(frozen=True, slots=True)
class _Statements:
    """How a transaction begins and ends, message by message.

    The server never holds the lock while it waits for the writer outside a transaction: if the
    writer's network is cut, the lock ends with the transaction, and that ends by timeout.
    """

    enter: tuple[str, ...]
    commit: str
    roll_back: str
    unlock: str

    @classmethod
    def of(cls, isolation: Isolation, advisory_lock: int | None) -> Self:
        begin = f"begin isolation level {isolation}"
        if advisory_lock is None:
            return cls((begin,), "commit", "rollback", "")
        # The lock is taken in a transaction before: in the same one the snapshot would be older
        # than the lock, and every wait for it would end in a serialization failure. Two messages,
        # because now() is when the message came, and must not be older than the lock either.
        return cls(
            (f"begin; select pg_advisory_lock({advisory_lock})", f"commit; {begin}"),
            f"commit; {_UNLOCK}",
            f"rollback; {_UNLOCK}",
            _UNLOCK,
        )


class Session:
    """The writer's connection; opened when needed, replaced when it breaks."""

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        isolation: Isolation,
        advisory_lock: int | None,
        idle: timedelta = _IDLE,
    ) -> None:
        """`idle` is how long the server keeps a session that writes nothing."""
        self._database = database
        self._name = name
        self._idle = idle
        self._statements = _Statements.of(isolation, advisory_lock)
        self._writer = uuid.uuid4()
        self._batch = 0
        self._connection: Connection | None = None
        self.in_doubt = False
        """Whether a COMMIT was sent of which nobody knows yet what became of it."""

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
        except Exception as error:
            await self._back_out(connection, error)
            raise
        except BaseException:
            # Who is cancelled must not wait for the server; it rolls back what is cut off.
            connection.terminate()
            raise
        await self._commit(connection, xid)
        return answer

    async def close(self) -> None:
        """Take the writer's mark away and close."""
        if self._connection is not None and not self._connection.is_closed():
            with suppress(*DATABASE_ERRORS):
                await self._connection.execute(_DROP_MARK, self._writer)
                await self._connection.close()
        self.abort()

    def abort(self) -> None:
        """Drop the connection as it is; the server rolls back what was not committed."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None

    async def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            try:
                self._connection = await self._database.dedicated_connection(
                    application_name=self._name, ended_when_idle_for=self._idle
                )
                await self._connection.execute(_DROP_OLD_MARKS)
            except DATABASE_ERRORS as error:
                self.abort()
                raise CommitLost(f"cannot reach the database: {error!r}") from error
        return self._connection

    async def _enter(self, connection: Connection) -> None:
        try:
            for statements in self._statements.enter:
                await connection.execute(statements)
        except TimeoutError:
            # Another holds the lock, or nobody answers: no smaller batch would do better.
            connection.terminate()
            raise

    async def _leave(self, connection: Connection, statement: str) -> None:
        """End what is open; a connection that cannot is thrown away."""
        try:
            # asyncpg waits without a limit of its own for the statement that was given up before.
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await connection.execute(statement)
        except DATABASE_ERRORS:
            connection.terminate()

    async def _back_out(self, connection: Connection, error: Exception) -> None:
        """Roll back what `error` interrupted; a server that can do so was slow, not away."""
        if not connection.is_closed():
            await self._leave(connection, self._statements.roll_back)
        is_slow = isinstance(error, TimeoutError) and not connection.is_closed()
        if connection.is_closed() or (is_connection_loss(error) and not is_slow):
            connection.terminate()
            raise CommitLost(f"the connection broke: {error!r}") from error

    async def _commit(self, connection: Connection, xid: str) -> None:
        self.in_doubt = True
        try:
            await connection.execute(self._statements.commit)
        except DATABASE_ERRORS as error:
            await self._settle_doubt(connection, xid, error)
        except BaseException:
            connection.terminate()
            raise
        self.in_doubt = False

    async def _settle_doubt(self, connection: Connection, xid: str, error: Exception) -> None:
        """Return if the transaction was committed for all that; raise if it was not."""
        has_answered = isinstance(error, asyncpg.PostgresError) and not is_connection_loss(error)
        if has_answered:
            await self._leave(connection, self._statements.unlock)
        else:
            connection.terminate()
        # Only COMMIT itself fails like that. Any other error can also be of what comes after it
        # in the same message, when the transaction stands.
        if not is_retryable(error) and await self._find_out(xid):
            return
        self.in_doubt = False
        if has_answered:
            raise error
        raise CommitLost(f"the connection broke in COMMIT: {error!r}") from error

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
            connection.terminate()


async def _is_running(connection: Connection, xid: str) -> bool:
    try:
        status = await connection.fetchval("select pg_xact_status($1::text::xid8)", xid)
    except asyncpg.PostgresError as error:
        if error.sqlstate == _INVALID_PARAMETER:
            return False
        raise
    return bool(status == "in progress")
