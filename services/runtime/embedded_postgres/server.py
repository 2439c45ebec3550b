"""Starts the embedded server, joins one that runs, and stops it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import asyncpg

from services.runtime.embedded_postgres.account import Account, server_account
from services.runtime.embedded_postgres.binaries import Binaries, find_binaries
from services.runtime.embedded_postgres.child import becomes_true, spawn
from services.runtime.embedded_postgres.data_directory import (
    SUPERUSER,
    check_version,
    end_leftover_server,
    ensure_data,
    lines_since,
    reason_in,
)
from services.runtime.embedded_postgres.lock import ProcessLock
from services.runtime.embedded_postgres.place import PORT, Place
from services.runtime.startup import StartupError

OWNER_LOGIN: Final = "switchyard_owner"
APPLICATION_LOGIN: Final = "switchyard"
DATABASE_NAME: Final = "switchyard"

_PATIENCE: Final = timedelta(seconds=120)
_POLL_SECONDS: Final = 0.05
_FAST_SHUTDOWN_SECONDS: Final = 30
_IMMEDIATE_SHUTDOWN_SECONDS: Final = 15

_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    # A payment that was answered must survive a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "4GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    # Short transactions by key gain nothing from either.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # SERIALIZABLE batches of hundreds of rows would otherwise lock whole relations.
    "max_pred_locks_per_transaction": "256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Rows that lost a race are everyday business, and statements belong in no log.
    "log_min_messages": "log",
}

_LOGIN_EXISTS: Final = "select exists (select from pg_roles where rolname = $1)"
_DATABASE_EXISTS: Final = "select exists (select from pg_database where datname = $1)"

_NOT_YET: Final = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TooManyConnectionsError,
)


class _PredecessorLingersError(StartupError):
    """A killed server's sessions end when they next look up from their work; until then we wait."""


class EmbeddedPostgres:
    """A server under `<home>/postgres` with two logins: its schemas' owner and the application.

    The process that starts it owns it: its end is the server's end, by `stop` or by the kernel. A
    process that finds it running joins it, and its `stop` leaves the server alone. So a process
    that joined loses its database when the owner goes; long-lived processes that must not depend
    on each other share a server of their own through DATABASE_URL.
    """

    def __init__(
        self, place: Place, owned: tuple[subprocess.Popen[bytes], ProcessLock] | None
    ) -> None:
        self._place = place
        self._owned = owned

    @classmethod
    async def start(cls, home: Path) -> Self:
        """Start the home's server, made when new, or join the one that runs; from the main thread.

        A server whose owner was killed is ended first, if it is not gone yet.
        """
        place = Place.under(home)
        async with _starting(place):
            return await cls._start_or_join(place)

    @classmethod
    @asynccontextmanager
    async def borrowed(cls, home: Path) -> AsyncIterator[Self]:
        """The home's server for a short while; who starts meanwhile waits instead of joining."""
        place = Place.under(home)
        async with _starting(place):
            server = await cls._start_or_join(place)
            try:
                yield server
            finally:
                await server.stop()

    @property
    def owner_url(self) -> str:
        """For migrations alone."""
        return self._url(OWNER_LOGIN)

    @property
    def application_url(self) -> str:
        return self._url(APPLICATION_LOGIN)

    @property
    def is_owned(self) -> bool:
        """Whether it ends with this process."""
        return self._owned is not None

    @property
    def socket(self) -> Path:
        """The file that clients connect to."""
        return self._place.socket_folder / f".s.PGSQL.{PORT}"

    async def stop(self) -> None:
        """End the server if it is ours: sessions are cut, what is committed is on the disk."""
        if self._owned is None:
            return
        (process, lock), self._owned = self._owned, None
        await _end(process)
        lock.release()

    def _url(self, login: str) -> str:
        folder = quote(str(self._place.socket_folder))
        return f"postgresql://{login}@/{DATABASE_NAME}?host={folder}&port={PORT}"

    @classmethod
    async def _start_or_join(cls, place: Place) -> Self:
        deadline = asyncio.get_running_loop().time() + _PATIENCE.total_seconds()
        lock = ProcessLock(place.owner_lock)
        while not lock.try_acquire():
            if await _answers(place):
                return cls(place, owned=None)
            if asyncio.get_running_loop().time() > deadline:
                raise StartupError(f"the server of {place.root} neither answers nor ends")
            await asyncio.sleep(_POLL_SECONDS)
        try:
            process = await _start(place)
        except BaseException:
            lock.release()
            raise
        return cls(place, owned=(process, lock))


@asynccontextmanager
async def _starting(place: Place) -> AsyncIterator[None]:
    refusal = f"another process is starting or migrating the database of {place.root}: try again"
    try:
        async with ProcessLock(place.start_lock).held(patience=_PATIENCE, refusal=refusal):
            yield
    except PermissionError as error:
        raise StartupError(
            f"{error.filename} belongs to another account: run as that account or as root"
        ) from error


async def _start(place: Place) -> subprocess.Popen[bytes]:
    binaries = find_binaries()
    check_version(place.data, binaries)
    account = server_account(place.data)
    account.open_installation(binaries.folder, binaries.installation)
    place.root.chmod(0o711)
    account.open_way_to(place.data)
    await end_leftover_server(place.data)
    place.prepare_socket_folder(account)
    account.open_way_to(place.socket_folder)
    place.rotate_log()
    await ensure_data(place, binaries, account)
    deadline = asyncio.get_running_loop().time() + _PATIENCE.total_seconds()
    while True:
        try:
            return await _launch(place, binaries, account)
        except _PredecessorLingersError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_POLL_SECONDS)


async def _launch(place: Place, binaries: Binaries, account: Account) -> subprocess.Popen[bytes]:
    command = _server_command(place, binaries)
    with place.log.open("ab") as log:
        log_start_byte = os.fstat(log.fileno()).st_size
        process = spawn(command, account, death_signal=signal.SIGINT, log=log)
    try:
        await _wait_until_ready(place, process, log_start_byte)
        await _ensure_logins(place)
    except BaseException:
        await _end(process)
        raise
    return process


def _server_command(place: Place, binaries: Binaries) -> list[str | Path]:
    settings = _SETTINGS | {"unix_socket_directories": str(place.socket_folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [binaries.folder / "postgres", "-D", place.data, *options]


async def _wait_until_ready(
    place: Place, process: subprocess.Popen[bytes], log_start_byte: int
) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE.total_seconds()
    while not await _answers(place):
        if process.poll() is not None:
            lines = lines_since(place.log, log_start_byte)
            reason = reason_in(lines, process.pid)
            lingers = any("still in use" in line for line in lines)
            refusal = _PredecessorLingersError if lingers else StartupError
            raise refusal(f"PostgreSQL did not start ({reason}): see {place.log}")
        if asyncio.get_running_loop().time() > deadline:
            raise StartupError(f"PostgreSQL is still starting, see {place.log}: try again")
        await asyncio.sleep(_POLL_SECONDS)


async def _answers(place: Place) -> bool:
    try:
        connection = await _connect(place)
    except _NOT_YET:
        return False
    await connection.close()
    return True


async def _connect(place: Place) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        host=str(place.socket_folder),
        port=PORT,
        user=SUPERUSER,
        database=SUPERUSER,
        timeout=10,
    )


async def _ensure_logins(place: Place) -> None:
    """The roles and the database; a start that was killed half-way is completed by the next."""
    connection = await _connect(place)
    try:
        for login, right in ((OWNER_LOGIN, "createrole"), (APPLICATION_LOGIN, "nocreaterole")):
            if not await connection.fetchval(_LOGIN_EXISTS, login):
                await connection.execute(f"create role {login} login {right}")
        if not await connection.fetchval(_DATABASE_EXISTS, DATABASE_NAME):
            await connection.execute(f"create database {DATABASE_NAME} owner {OWNER_LOGIN}")
    finally:
        await connection.close()


async def _end(process: subprocess.Popen[bytes]) -> None:
    """The fast way, in time the immediate one, from which the next start recovers."""

    def has_ended() -> bool:
        return process.poll() is not None

    process.send_signal(signal.SIGINT)
    if await becomes_true(has_ended, within_seconds=_FAST_SHUTDOWN_SECONDS):
        return
    process.send_signal(signal.SIGQUIT)
    if await becomes_true(has_ended, within_seconds=_IMMEDIATE_SHUTDOWN_SECONDS):
        return
    process.kill()
    process.wait()
