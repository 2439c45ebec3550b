"""The embedded server starts, is joined, survives what happens to it, and leaves nothing behind."""

import asyncio
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from services.runtime.embedded_postgres import EmbeddedPostgres, binaries, data_directory, server
from services.runtime.embedded_postgres.account import ACCOUNT_NAME, Account
from services.runtime.embedded_postgres.binaries import Binaries, find_binaries
from services.runtime.startup import StartupError
from tests.conftest import short_folder

# Long enough for a machine with better things to do.
_PATIENCE_SECONDS = 60

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

# Pure arithmetic, in which a session does not notice that its server is gone.
_WORK_FOR_TWO_SECONDS = """
do $$
declare until timestamptz := clock_timestamp() + interval '2 s';
begin while clock_timestamp() < until loop end loop; end
$$
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server an account")


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """A home whose data directory is made by whichever test comes first."""
    with short_folder() as home:
        yield home


def _pid(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split("\n")[0])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # What has ended is a zombie until its parent has looked.
    return _process_file(pid, "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _process_file(pid: int, name: str) -> Path:
    return Path("/proc", str(pid), name)


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _runs(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.02)


async def _value(url: str, statement: str, user: str | None = None) -> object:
    connection = await asyncpg.connect(url, user=user)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@contextmanager
def _owner_process(home: Path) -> Iterator["subprocess.Popen[str]"]:
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


@contextmanager
def _stranger_of_the_servers_account(data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose number PostgreSQL would take for its own server's."""
    uid = data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600"], user=uid) as stranger:
        try:
            yield stranger
        finally:
            stranger.kill()


async def test_what_is_committed_is_there_after_stop_and_start(module_home: Path) -> None:
    first = await EmbeddedPostgres.start(module_home)
    await _value(first.owner_url, "create table public_note as select 7 as seven", "postgres")
    pid = _pid(module_home)
    await first.stop()
    assert not _runs(pid)
    second = await EmbeddedPostgres.start(module_home)
    try:
        assert await _value(second.owner_url, "select seven from public_note", "postgres") == 7
        assert second.application_url == first.application_url
    finally:
        await second.stop()


async def test_it_is_durable_and_has_no_door_but_a_private_socket(
    postgres: EmbeddedPostgres,
) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert await _value(postgres.application_url, f"show {name}") == "on"
    assert await _value(postgres.application_url, "show listen_addresses") == ""
    assert stat.S_IMODE(postgres.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(postgres.socket.stat().st_mode) == 0o700


async def test_neither_login_is_a_superuser_and_the_application_makes_no_roles(
    postgres: EmbeddedPostgres,
) -> None:
    rights = "select row(rolsuper, rolcreaterole, rolcreatedb, rolbypassrls)::text from pg_roles"
    mine = f"{rights} where rolname = session_user"
    assert await _value(postgres.application_url, mine) == "(f,f,f,f)"
    assert await _value(postgres.owner_url, mine) == "(f,t,f,f)"


async def test_who_finds_it_running_joins_and_leaves_it_running(module_home: Path) -> None:
    with _owner_process(module_home):
        pid = _pid(module_home)
        joined = await EmbeddedPostgres.start(module_home)
        assert not joined.is_owned
        assert await _value(joined.application_url, "select 1") == 1
        await joined.stop()
        assert _runs(pid)
    _wait_until_gone(pid)


async def test_after_a_kill_of_its_owner_the_data_is_there_and_no_orphan(
    short_tmp_path: Path,
) -> None:
    for kill in range(3):
        with _owner_process(short_tmp_path) as owner:
            pid = _pid(short_tmp_path)
            owner.send_signal(signal.SIGKILL)
        # At once: the old server may still be shutting down.
        restarted = await EmbeddedPostgres.start(short_tmp_path)
        try:
            assert restarted.is_owned
            assert _pid(short_tmp_path) != pid
            assert not _runs(pid)
            rows = await _value(restarted.owner_url, "select count(*) from kept.rows where id = 1")
            assert rows == kill + 1
        finally:
            await restarted.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends it")
async def test_a_killed_owner_takes_its_server_along(module_home: Path) -> None:
    with _owner_process(module_home) as owner:
        pid = _pid(module_home)
        owner.kill()
    _wait_until_gone(pid)
    assert not (module_home / "postgres/data/postmaster.pid").exists()


async def test_a_crash_of_the_server_itself_is_recovered_from(module_home: Path) -> None:
    with _owner_process(module_home):
        os.kill(_pid(module_home), signal.SIGKILL)
    restarted = await EmbeddedPostgres.start(module_home)
    try:
        assert await _value(restarted.owner_url, "select count(*) > 0 from kept.rows")
    finally:
        await restarted.stop()


async def test_sessions_that_a_crash_leaves_at_work_are_waited_for(module_home: Path) -> None:
    with _owner_process(module_home) as owner:
        url = f"postgresql://switchyard@/switchyard?host={module_home}/postgres/socket&port=5432"
        busy = await asyncpg.connect(url)
        working = asyncio.create_task(busy.execute(_WORK_FOR_TWO_SECONDS))
        await asyncio.sleep(0.3)
        os.kill(_pid(module_home), signal.SIGKILL)
        owner.kill()
    restarted = await EmbeddedPostgres.start(module_home)
    await restarted.stop()
    await working
    busy.terminate()
    assert "still in use" in (module_home / "postgres/server.log").read_text()


async def test_a_server_that_outlived_its_owner_is_ended_and_replaced(module_home: Path) -> None:
    abandoned = await EmbeddedPostgres.start(module_home)
    assert abandoned._owned is not None
    pid = _pid(module_home)
    process, lock = abandoned._owned
    lock.release()
    starting = asyncio.create_task(EmbeddedPostgres.start(module_home))
    # Nobody but its parent, this very process, could reap it.
    await asyncio.to_thread(process.wait, _PATIENCE_SECONDS)
    replaced = await starting
    try:
        assert _pid(module_home) != pid
        assert await _value(replaced.application_url, "select 1") == 1
    finally:
        await replaced.stop()


async def test_a_stale_lock_file_that_names_a_stranger_is_no_obstacle(module_home: Path) -> None:
    data = module_home / "postgres/data"
    started = await EmbeddedPostgres.start(module_home)
    left_behind = (data / "postmaster.pid").read_text()
    pid = _pid(module_home)
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


async def test_who_starts_while_it_is_borrowed_waits_for_a_server_of_its_own(
    module_home: Path,
) -> None:
    async with EmbeddedPostgres.borrowed(module_home) as borrowed:
        waiting = asyncio.create_task(EmbeddedPostgres.start(module_home))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert await _value(borrowed.application_url, "select 1") == 1
    started = await waiting
    try:
        assert started.is_owned
        assert await _value(started.application_url, "select 1") == 1
    finally:
        await started.stop()


async def test_two_that_start_at_once_share_one_server(module_home: Path) -> None:
    both = await asyncio.gather(*(EmbeddedPostgres.start(module_home) for _ in range(2)))
    assert sorted(server.is_owned for server in both) == [False, True]
    for started in sorted(both, key=lambda server: server.is_owned):
        assert await _value(started.application_url, "select 1") == 1
        await started.stop()


async def test_data_of_another_version_is_refused_untouched(short_tmp_path: Path) -> None:
    data = short_tmp_path / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    before = data.stat()
    with pytest.raises(StartupError, match=r"is of PostgreSQL 16, the server is 18: move"):
        await EmbeddedPostgres.start(short_tmp_path)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]
    assert (data.stat().st_uid, data.stat().st_mode) == (before.st_uid, before.st_mode)


async def test_a_folder_that_is_no_data_directory_is_refused_untouched(
    short_tmp_path: Path,
) -> None:
    data = short_tmp_path / "postgres/data"
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("years of work")
    with pytest.raises(StartupError, match="is not a PostgreSQL data directory"):
        await EmbeddedPostgres.start(short_tmp_path)
    assert (data / "thesis.txt").read_text() == "years of work"


async def test_a_home_that_is_a_file_is_refused(short_tmp_path: Path) -> None:
    (short_tmp_path / "home").touch()
    with pytest.raises(StartupError, match="cannot make"):
        await EmbeddedPostgres.start(short_tmp_path / "home")


async def test_a_data_directory_that_could_not_be_made_leaves_nothing(
    short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = short_tmp_path / "bin"
    programs.mkdir()
    for name in ("postgres", "initdb"):
        (programs / name).write_text("#!/bin/sh\necho 'FATAL:  the disk is full'\nexit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(server, "find_binaries", lambda: Binaries(programs, 18))
    with pytest.raises(StartupError, match=r"cannot make a database .*the disk is full.*: see "):
        await EmbeddedPostgres.start(short_tmp_path / "home")
    left = {path.name for path in (short_tmp_path / "home/postgres").iterdir()}
    assert left == {"owner.lock", "server.log", "socket", "start.lock"}


async def test_a_data_directory_left_half_made_is_made_anew(short_tmp_path: Path) -> None:
    half_made = short_tmp_path / "postgres/data.new-0badf00d"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    started = await EmbeddedPostgres.start(short_tmp_path)
    await started.stop()
    assert not half_made.exists()


async def test_a_server_that_does_not_start_says_why(module_home: Path) -> None:
    configuration = module_home / "postgres/data/postgresql.auto.conf"
    before = configuration.read_text()
    configuration.write_text("wal_levl = replica\n")
    try:
        with pytest.raises(StartupError, match=r"did not start \(.*FATAL: .*\): see .*server\.log"):
            await EmbeddedPostgres.start(module_home)
    finally:
        configuration.write_text(before)
    started = await EmbeddedPostgres.start(module_home)
    await started.stop()


async def test_a_home_too_deep_for_a_socket_gets_one_elsewhere(
    short_tmp_path: Path,
) -> None:
    deep = short_tmp_path / "deep" / ("x" * 90)
    started = await EmbeddedPostgres.start(deep)
    folder = started.socket.parent
    try:
        assert not folder.is_relative_to(deep)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert await _value(started.application_url, "select 1") == 1
    finally:
        await started.stop()
        shutil.rmtree(folder)


async def test_the_server_gets_no_secret_and_no_signal_of_ours(
    module_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://o:hunter2@h/d")
    monkeypatch.setenv("PGPORT", "1")
    started = await EmbeddedPostgres.start(module_home)
    try:
        pid = _pid(module_home)
        assert os.getsid(pid) == pid
        assert b"hunter2" not in _process_file(pid, "environ").read_bytes()
        assert await _value(started.application_url, "select 1") == 1
    finally:
        await started.stop()


def test_it_is_started_from_the_main_thread_alone(module_home: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            asyncio.run(EmbeddedPostgres.start(module_home))
        except AssertionError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_without_the_wheel_the_programs_on_path_are_used(
    short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_binaries()
    assert found.installation
    (short_tmp_path / "postgres").symlink_to(found.folder / "postgres")
    monkeypatch.setattr(binaries, "_wheel_package", lambda: None)
    monkeypatch.setenv("PATH", str(short_tmp_path))
    assert find_binaries() == Binaries(found.folder.resolve(), 18)


@pytest.mark.parametrize(
    ("version", "line"), [("15.3", "is version 15, Switchyard needs 18"), (None, "no PostgreSQL")]
)
def test_without_programs_that_will_do_one_line_says_so(
    short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, line: str
) -> None:
    if version:
        for name in ("postgres", "initdb"):
            (short_tmp_path / name).write_text(
                f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"
            )
            (short_tmp_path / name).chmod(0o755)
    monkeypatch.setattr(binaries, "_wheel_package", lambda: None)
    monkeypatch.setenv("PATH", str(short_tmp_path))
    with pytest.raises(StartupError, match=line):
        find_binaries()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["[7] FATAL:  bad thing", "[7] LOG:  shut down"], "[7] FATAL:  bad thing"),
        (["[7] FATAL:  bad thing", "[6] FATAL:  an older server's"], "[7] FATAL:  bad thing"),
        (["[8] FATAL:  a child's", "[7] LOG:  shut down"], "[8] FATAL:  a child's"),
        (["postgres: no such folder"], "postgres: no such folder"),
        ([], "it said nothing"),
    ],
)
def test_the_reason_is_what_the_server_itself_said_loudest(lines: list[str], reason: str) -> None:
    assert data_directory.reason_in(lines, 7) == reason


@as_root
async def test_root_opens_only_the_folders_that_block_and_names_them(
    short_tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed, inside = short_tmp_path / "closed", short_tmp_path / "closed" / "open"
    inside.mkdir(parents=True)
    closed.chmod(0o700)
    inside.chmod(0o755)
    with caplog.at_level(logging.WARNING):
        started = await EmbeddedPostgres.start(inside / "home")
    try:
        assert await _value(started.application_url, "select 1") == 1
        process = _process_file(_pid(inside / "home"), "status")
        assert process.stat().st_uid == pwd.getpwnam(ACCOUNT_NAME).pw_uid != 0
    finally:
        await started.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(inside.stat().st_mode) == 0o755
    named = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert closed in named
    assert inside not in named


@as_root
def test_root_opens_programs_that_were_installed_for_root_alone(short_tmp_path: Path) -> None:
    short_tmp_path.chmod(0o755)
    installation = short_tmp_path / "installation"
    (installation / "bin").mkdir(parents=True)
    for name in ("bin/postgres", "share"):
        (installation / name).touch()
    (installation / "share").chmod(0o600)
    for path in (installation, installation / "bin", installation / "bin/postgres"):
        path.chmod(0o700)
    account = Account(uid=65534, gid=65534, borrowed=True)
    account.open_installation(installation / "bin", (installation,))
    assert stat.S_IMODE((installation / "bin/postgres").stat().st_mode) == 0o705
    assert stat.S_IMODE((installation / "share").stat().st_mode) == 0o604
    assert stat.S_IMODE(installation.stat().st_mode) == 0o705
