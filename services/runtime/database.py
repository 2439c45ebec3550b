"""The application's way to PostgreSQL: a bounded pool, and transactions retried as a whole.

asyncpg speaks to the server directly, in the server's own SQL (`$1`, arrays, `unnest`): the writes
that matter are set-wise, and there is no second dialect to hide. A write that must know whether it
happened goes through group commit; what goes through `transaction` must bear being repeated.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.kernel.errors import Reason, Unavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Record] | PoolConnectionProxy[Record]"

# Everything that talking to PostgreSQL can raise, short of a defect of ours.
DATABASE_ERRORS: Final = (
    OSError,
    EOFError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

SERIALIZATION_FAILURE: Final = "40001"
DEADLOCK_DETECTED: Final = "40P01"

# What only another connection can mend: class 08 is a broken connection, 57P a server shutting
# down, crashed or starting up, or a session that it ended; 53300 is a server with no connection
# left, 25P03 a session ended in its transaction, and 25006 a write to what has become a standby.
_LOST: Final = ("08", "57P", "53300", "25P03", "25006")
_QUERY_CANCELED: Final = "57014"

# The server's side of a connection: a client whose network is cut is found out about in half a
# minute, however little it had to say (on a Unix socket these have no meaning and do no harm).
_KEEP_ALIVE: Final = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30s",
}

_TRIES: Final = 12
_SILENCE: Final = timedelta(seconds=30)
_RETRY_AFTER: Final = timedelta(seconds=1)
_FIRST_PAUSE_SECONDS: Final = 0.002
_LONGEST_PAUSE_SECONDS: Final = 0.25


class Isolation(StrEnum):
    """The ledger's level, the one for reads that must agree, and everybody else's."""

    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"
    SERIALIZABLE = "SERIALIZABLE"


def is_retryable(error: BaseException) -> bool:
    """Whether PostgreSQL rolled the transaction back and asks for it to be run again."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in (
        SERIALIZATION_FAILURE,
        DEADLOCK_DETECTED,
    )


def is_connection_loss(error: BaseException) -> bool:
    """Whether the server or the way to it went away, so that another connection may do better."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_LOST)
    return isinstance(error, OSError | EOFError | asyncpg.InternalClientError)


def is_too_slow(error: BaseException) -> bool:
    """Whether a statement was given up because it took too long: less of it may do."""
    if isinstance(error, asyncpg.PostgresError):
        return error.sqlstate == _QUERY_CANCELED
    return isinstance(error, TimeoutError)


def backoff_seconds(tries: int) -> float:
    """A pause with full jitter, so that those who collided do not collide again."""
    ceiling = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**tries)
    return random.uniform(0, ceiling)  # noqa: S311 -- jitter, not a secret


class Database:
    """One pool to one database, under the application's login."""

    def __init__(
        self,
        url: str,
        pool: "asyncpg.Pool[Record]",
        *,
        patience: timedelta,
        silence: timedelta = _SILENCE,
    ) -> None:
        """`silence` is how long a dedicated connection waits for an answer to one statement."""
        self._url = url
        self._pool = pool
        self._patience = patience
        self._silence = silence

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        application_name: str,
        pool_size: int = 8,
        patience: timedelta = timedelta(seconds=10),
    ) -> Self:
        """Open the pool; `patience` is how long a caller waits for a connection to come free."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=pool_size,
                timeout=patience.total_seconds(),
                server_settings={"application_name": application_name, **_KEEP_ALIVE},
            )
        except DATABASE_ERRORS as error:
            raise _went_away(f"cannot reach the database: {error}") from error
        return cls(url, pool, patience=patience)

    async def dedicated_connection(
        self, *, application_name: str, ended_when_idle_for: timedelta | None = None
    ) -> Connection:
        """A connection of the caller's own, outside the pool; the caller closes it.

        With `ended_when_idle_for` the server ends a session that says nothing for so long, and
        frees what it holds: not for one that listens, which is idle by its nature.
        """
        settings = {
            "application_name": application_name,
            # A writer whose network is cut must not hold its rows while the server waits.
            "idle_in_transaction_session_timeout": "10s",
            **_KEEP_ALIVE,
        }
        if ended_when_idle_for is not None:
            idle_ms = round(ended_when_idle_for.total_seconds() * 1000)
            settings["idle_session_timeout"] = f"{idle_ms}ms"
        return await asyncpg.connect(
            self._url,
            timeout=self._patience.total_seconds(),
            # A server that says nothing any more is as good as gone, and is found out about so.
            command_timeout=self._silence.total_seconds(),
            server_settings=settings,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A pooled connection; who finds none waits, bounded, and is then told to retry.

        A connection that breaks while it is lent is told as Unavailable too.
        """
        connection = await self._borrow()
        try:
            yield connection
        except DATABASE_ERRORS as error:
            if not _is_closed(connection):
                # An OSError here is of the borrower's own making.
                if not (isinstance(error, asyncpg.PostgresError) and is_connection_loss(error)):
                    raise
                # It still speaks, to a server that goes down or is a standby: so do its sisters.
                await self._pool.expire_connections()
            raise _went_away(f"the database went away: {error!r}") from error
        finally:
            await self._give_back(connection)

    async def _borrow(self) -> "PoolConnectionProxy[Record]":
        try:
            return await self._pool.acquire(timeout=self._patience.total_seconds())
        except TimeoutError as error:
            raise Unavailable(
                "no database connection became free",
                reason=Reason.DATABASE_BUSY,
                retry_after=_RETRY_AFTER,
            ) from error
        except DATABASE_ERRORS as error:
            raise _went_away(f"cannot reach the database: {error}") from error

    async def _give_back(self, connection: "PoolConnectionProxy[Record]") -> None:
        try:
            await self._pool.release(connection)
        except DATABASE_ERRORS as error:
            # What the borrower asked for is answered, and asyncpg has thrown the connection away.
            _log.info("a connection broke while it was given back: %r", error)

    async def transaction(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        isolation: Isolation = Isolation.READ_COMMITTED,
        tries: int = _TRIES,
    ) -> T:
        """Run `work` in one transaction, again from its start when PostgreSQL asks for that."""
        for failures in range(tries):
            try:
                async with self.connection() as connection:
                    return await _run(connection, work, isolation)
            except asyncpg.PostgresError as error:
                if not is_retryable(error) or failures == tries - 1:
                    raise
            await asyncio.sleep(backoff_seconds(failures))
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        """Wait for borrowed connections to come home, then close them all."""
        await self._pool.close()


async def _run(
    connection: Connection, work: Callable[[Connection], Awaitable[T]], isolation: Isolation
) -> T:
    await connection.execute(f"begin isolation level {isolation}")
    try:
        answer = await work(connection)
        await connection.execute("commit")
    except BaseException:
        if not _is_closed(connection):
            await connection.execute("rollback")
        raise
    return answer


def _is_closed(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool takes a connection that broke back by itself; then its borrower's is void.
        return True


def _went_away(message: str) -> Unavailable:
    return Unavailable(message, reason=Reason.DATABASE_UNAVAILABLE, retry_after=_RETRY_AFTER)
