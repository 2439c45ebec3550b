"""Whoever is killed, owner or server: the data is there again, and nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from services.runtime.embedded_postgres import EmbeddedPostgres, data_directory
from tests.runtime.embedded_postgres.processes import (
    PATIENCE_SECONDS,
    is_running,
    owner_process,
    server_pid,
    value_of,
    wait_until_gone,
)

# Pure arithmetic, in which a session does not notice that its server is gone.
_WORK_FOR_TWO_SECONDS = """
do $$
declare until timestamptz := clock_timestamp() + interval '2 s';
begin while clock_timestamp() < until loop end loop; end
$$
"""


@contextmanager
def _stranger_of_the_servers_account(data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose number PostgreSQL would take for its own server's."""
    uid = data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600"], user=uid) as stranger:
        try:
            yield stranger
        finally:
            stranger.kill()


async def test_after_a_kill_of_its_owner_the_data_is_there_and_no_orphan(
    short_tmp_path: Path,
) -> None:
    for kill in range(3):
        with owner_process(short_tmp_path) as owner:
            pid = server_pid(short_tmp_path)
            owner.send_signal(signal.SIGKILL)
        # At once: the old server may still be shutting down.
        restarted = await EmbeddedPostgres.start(short_tmp_path)
        try:
            assert restarted.is_owned
            assert server_pid(short_tmp_path) != pid
            assert not is_running(pid)
            rows = await value_of(
                restarted.owner_url, "select count(*) from kept.rows where id = 1"
            )
            assert rows == kill + 1
        finally:
            await restarted.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends it")
async def test_a_killed_owner_takes_its_server_along(module_home: Path) -> None:
    with owner_process(module_home) as owner:
        pid = server_pid(module_home)
        owner.kill()
    wait_until_gone(pid)
    assert not (module_home / "postgres/data/postmaster.pid").exists()


async def test_a_crash_of_the_server_itself_is_recovered_from(module_home: Path) -> None:
    with owner_process(module_home):
        os.kill(server_pid(module_home), signal.SIGKILL)
    restarted = await EmbeddedPostgres.start(module_home)
    try:
        assert await value_of(restarted.owner_url, "select count(*) > 0 from kept.rows")
    finally:
        await restarted.stop()


async def test_sessions_that_a_crash_leaves_at_work_are_waited_for(module_home: Path) -> None:
    with owner_process(module_home) as owner:
        url = f"postgresql://switchyard@/switchyard?host={module_home}/postgres/socket&port=5432"
        busy = await asyncpg.connect(url)
        working = asyncio.create_task(busy.execute(_WORK_FOR_TWO_SECONDS))
        await asyncio.sleep(0.3)
        os.kill(server_pid(module_home), signal.SIGKILL)
        owner.kill()
    restarted = await EmbeddedPostgres.start(module_home)
    await restarted.stop()
    await working
    busy.terminate()
    assert "still in use" in (module_home / "postgres/server.log").read_text()


async def test_a_server_that_outlived_its_owner_is_ended_and_replaced(module_home: Path) -> None:
    abandoned = await EmbeddedPostgres.start(module_home)
    assert abandoned._owned is not None
    pid = server_pid(module_home)
    process, lock = abandoned._owned
    lock.release()
    starting = asyncio.create_task(EmbeddedPostgres.start(module_home))
    # Nobody but its parent, this very process, could reap it.
    await asyncio.to_thread(process.wait, PATIENCE_SECONDS)
    replaced = await starting
    try:
        assert server_pid(module_home) != pid
        assert await value_of(replaced.application_url, "select 1") == 1
    finally:
        await replaced.stop()


async def test_a_stale_lock_file_that_names_a_stranger_is_no_obstacle(module_home: Path) -> None:
    data = module_home / "postgres/data"
    started = await EmbeddedPostgres.start(module_home)
    left_behind = (data / "postmaster.pid").read_text()
    pid = server_pid(module_home)
    await started.stop()
    with _stranger_of_the_servers_account(data) as stranger:
        (data / "postmaster.pid").write_text(left_behind.replace(str(pid), str(stranger.pid)))
        restarted = await EmbeddedPostgres.start(module_home)
        await restarted.stop()
        assert stranger.poll() is None


async def test_a_server_that_ended_but_was_not_reaped_is_no_obstacle(
    short_tmp_path: Path,
) -> None:
    lock_file = short_tmp_path / "postmaster.pid"
    # Not a shell: one that runs in the background cannot trap the signal that it ignores there.
    stand_in = (
        "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(0));"
        " print('ready', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", stand_in, str(short_tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:  # noqa: ASYNC220 -- no matter
        assert server.stdout is not None
        server.stdout.readline()
        lock_file.write_text(f"{server.pid}\n")
        await data_directory.end_leftover_server(short_tmp_path)
        # Its number is still taken, and PostgreSQL would believe a file that names it.
        os.kill(server.pid, 0)
        assert not lock_file.exists()
        assert server.wait() == 0
