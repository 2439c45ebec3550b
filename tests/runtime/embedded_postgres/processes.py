"""The server seen from outside: its process, a process that owns it, and what it answers."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

# Long enough for a machine with better things to do.
PATIENCE_SECONDS = 60

_OWNER_PROCESS = """
import asyncio, sys
from pathlib import Path
import asyncpg
from services.runtime.embedded_postgres import EmbeddedPostgres

async def main():
    server = await EmbeddedPostgres.start(Path(sys.argv[1]))
    connection = await asyncpg.connect(server.owner_url)
    await connection.execute("create schema if not exists kept")
    await connection.execute("create table if not exists kept.rows (id bigint)")
    await connection.execute("insert into kept.rows values (1)")
    print("written", flush=True)
    while True:
        await connection.execute("insert into kept.rows values (2)")

asyncio.run(main())
"""


def server_pid(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0])


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # What has ended is a zombie until its parent has looked.
    return process_file(pid, "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def process_file(pid: int, name: str) -> Path:
    return Path("/proc", str(pid), name)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_running(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.02)


async def value_of(url: str, statement: str, user: str | None = None) -> object:
    connection = await asyncpg.connect(url, user=user)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@contextmanager
def owner_process(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has started the home's server, written a row and goes on writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER_PROCESS, str(home)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        try:
            yield process
        finally:
            process.kill()
