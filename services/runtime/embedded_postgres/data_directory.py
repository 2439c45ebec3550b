"""The server's data directory: made whole or not at all, and never touched by another version."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from services.runtime.embedded_postgres.account import Account
from services.runtime.embedded_postgres.binaries import Binaries
from services.runtime.embedded_postgres.child import becomes_true, spawn
from services.runtime.embedded_postgres.place import Place
from services.runtime.startup import StartupError

SUPERUSER: Final = "postgres"
_HALF_MADE: Final = "data.new-"
_INITDB_SECONDS: Final = 300
_FAST_SHUTDOWN_SECONDS: Final = 30
_IMMEDIATE_SHUTDOWN_SECONDS: Final = 15


def check_version(data: Path, binaries: Binaries) -> None:
    """Refuse, without touching it, a directory that these programs cannot open."""
    if not data.exists():
        return
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise StartupError(
            f"{data} is not a PostgreSQL data directory: move it away or choose another --home"
        ) from error
    if found != str(binaries.major):
        raise StartupError(
            f"{data} is of PostgreSQL {found}, the server is {binaries.major}: move its data with"
            f" pg_upgrade, run it with version {found}, or choose another --home"
        )


async def ensure_data(place: Place, binaries: Binaries, account: Account) -> None:
    """Make the directory when there is none, under another name until it is complete."""
    for half_made in place.root.glob(f"{_HALF_MADE}*"):
        shutil.rmtree(half_made)
    if place.data.exists():
        return
    unfinished = place.root / f"{_HALF_MADE}{secrets.token_hex(4)}"
    unfinished.mkdir(mode=0o700)
    account.take(unfinished)
    command = (
        binaries.folder / "initdb",
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        # Whoever may enter the private socket folder is trusted; there is no other way in.
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--data-checksums",
        "--no-instructions",
    )
    try:
        await _run(command, account, place.log)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    unfinished.rename(place.data)


async def _run(command: tuple[str | Path, ...], account: Account, log: Path) -> None:
    with log.open("ab") as output:
        start_byte = os.fstat(output.fileno()).st_size
        process = spawn(command, account, death_signal=signal.SIGKILL, log=output)
    try:
        code = await asyncio.to_thread(process.wait, _INITDB_SECONDS)
    except (subprocess.TimeoutExpired, asyncio.CancelledError):
        process.kill()
        process.wait()
        raise
    if code != 0:
        reason = reason_in(lines_since(log, start_byte), process.pid)
        raise StartupError(f"cannot make a database ({reason}): see {log}")


def lines_since(log: Path, start_byte: int) -> list[str]:
    """What was written to the log from there on."""
    with log.open("rb") as file:
        file.seek(start_byte)
        lines = file.read().decode(errors="replace").split("\n")
    return [line.strip() for line in lines if line.strip()]


def reason_in(lines: list[str], pid: int) -> str:
    """Why this process ended: what it said last and loudest itself, else what anybody said."""
    loud = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    own = [line for line in loud if f"[{pid}]" in line]
    return (own or loud or lines or ["it said nothing"])[-1]


async def end_leftover_server(data: Path) -> None:
    """End a server whose owner is dead and which the kernel has not ended, and wait until it has.

    Where a dead owner's server is ended by the kernel, it may still be at it.
    """
    lock_file = data / "postmaster.pid"
    try:
        pid = int(lock_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if _serves(pid, data):
        await _end(pid, data)
    if _is_alive(pid):
        # A zombie, or a stranger with the number of one that crashed: PostgreSQL would be fooled.
        lock_file.unlink(missing_ok=True)


async def _end(pid: int, data: Path) -> None:
    steps = (
        (signal.SIGINT, _FAST_SHUTDOWN_SECONDS),
        (signal.SIGQUIT, _IMMEDIATE_SHUTDOWN_SECONDS),
    )
    for step, seconds in steps:
        _signal(pid, step)
        if await becomes_true(lambda: not _serves(pid, data), within_seconds=seconds):
            return
    raise StartupError(f"an earlier server on {data} does not end: end process {pid}")


def _serves(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL server on this directory."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        command = "" if Path("/proc/self").exists() else _command_by_ps(pid)
    except ProcessLookupError:
        return False
    return str(data) in command


def _command_by_ps(pid: int) -> str:
    answer = subprocess.run(  # noqa: S603 -- a number is all that varies
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 -- ps has no one place
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
