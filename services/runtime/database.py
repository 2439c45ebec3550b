"""The application's way to PostgreSQL: a bounded pool, and transactions retried as a whole.

asyncpg speaks to the server directly, in the server's own SQL (`$1`, arrays, `unnest`): the writes
that matter are set-wise, and there is no second dialect to hide. A write that must know whether it
happened goes through group commit; what goes through `transaction` must bear being repeated.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.kernel.errors import Unavailable

T = TypeVar("T")

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

_TRIES: Final = 12
_SILENCE_SECONDS: Final = 30.0
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
        # Class 08 is a broken connection, 57P a server shutting down, crashed or starting up;
        # 53300 is a server with no connection left.
        return (error.sqlstate or "").startswith(("08", "57P")) or error.sqlstate == "53300"
    return isinstance(error, OSError | EOFError | asyncpg.InternalClientError)


def backoff_seconds(tries: int) -> float:
    """A pause with full jitter, so that those who collided do not collide again."""
    ceiling = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**tries)
    return random.uniform(0, ceiling)  # noqa: S311 -- jitter, not a secret


class Database:
    """One pool to one database, under the application's login."""

    def __init__(self, url: str, pool: "asyncpg.Pool[Record]", *, patience: timedelta) -> None:
        self._url = url
        self._pool = pool
        self._patience = patience

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
                server_settings={"application_name": application_name},
            )
        except DATABASE_ERRORS as error:
            raise Unavailable(f"cannot reach the database: {error}") from error
        return cls(url, pool, patience=patience)

    async def dedicated_connection(self, *, application_name: str) -> Connection:
        """A connection of the caller's own, outside the pool; the caller closes it."""
        return await asyncpg.connect(
            self._url,
            timeout=self._patience.total_seconds(),
            # A server that says nothing any more is as good as gone, and is found out about so.
            command_timeout=_SILENCE_SECONDS,
            server_settings={
                "application_name": application_name,
                # A writer whose network is cut must not hold its rows while the server waits.
                "idle_in_transaction_session_timeout": "10s",
            },
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A pooled connection; who finds none waits, bounded, and is then told to retry."""
        try:
            connection = await self._pool.acquire(timeout=self._patience.total_seconds())
        except DATABASE_ERRORS as error:
            raise Unavailable(
                "no database connection became free", retry_after=timedelta(seconds=1)
            ) from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

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
    except BaseException as error:
        if connection.is_closed():
            raise Unavailable("the database went away in a transaction") from error
        await connection.execute("rollback")
        raise
    return answer
