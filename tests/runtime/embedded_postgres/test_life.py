"""The embedded server starts, is joined and handed over, and is kept to itself."""

import asyncio
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from services.runtime.embedded_postgres import EmbeddedPostgres
from tests.runtime.embedded_postgres.processes import (
    is_running,
    owner_process,
    process_file,
    server_pid,
    value_of,
    wait_until_gone,
)


async def test_what_is_committed_is_there_after_stop_and_start(module_home: Path) -> None:
    first = await EmbeddedPostgres.start(module_home)
    await value_of(first.owner_url, "create table public_note as select 7 as seven", "postgres")
    pid = server_pid(module_home)
    await first.stop()
    assert not is_running(pid)
    second = await EmbeddedPostgres.start(module_home)
    try:
        assert await value_of(second.owner_url, "select seven from public_note", "postgres") == 7
        assert second.application_url == first.application_url
    finally:
        await second.stop()


async def test_it_is_durable_and_has_no_door_but_a_private_socket(
    postgres: EmbeddedPostgres,
) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert await value_of(postgres.application_url, f"show {name}") == "on"
    assert await value_of(postgres.application_url, "show listen_addresses") == ""
    assert stat.S_IMODE(postgres.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(postgres.socket.stat().st_mode) == 0o700


async def test_neither_login_is_a_superuser_and_the_application_makes_no_roles(
    postgres: EmbeddedPostgres,
) -> None:
    rights = "select row(rolsuper, rolcreaterole, rolcreatedb, rolbypassrls)::text from pg_roles"
    mine = f"{rights} where rolname = session_user"
    assert await value_of(postgres.application_url, mine) == "(f,f,f,f)"
    assert await value_of(postgres.owner_url, mine) == "(f,t,f,f)"


async def test_who_finds_it_running_joins_and_leaves_it_running(module_home: Path) -> None:
    with owner_process(module_home):
        pid = server_pid(module_home)
        joined = await EmbeddedPostgres.start(module_home)
        assert not joined.is_owned
        assert await value_of(joined.application_url, "select 1") == 1
        await joined.stop()
        assert is_running(pid)
    wait_until_gone(pid)


async def test_who_starts_while_it_is_borrowed_waits_for_a_server_of_its_own(
    module_home: Path,
) -> None:
    async with EmbeddedPostgres.borrowed(module_home) as borrowed:
        waiting = asyncio.create_task(EmbeddedPostgres.start(module_home))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert await value_of(borrowed.application_url, "select 1") == 1
    started = await waiting
    try:
        assert started.is_owned
        assert await value_of(started.application_url, "select 1") == 1
    finally:
        await started.stop()


async def test_two_that_start_at_once_share_one_server(module_home: Path) -> None:
    both = await asyncio.gather(*(EmbeddedPostgres.start(module_home) for _ in range(2)))
    assert sorted(server.is_owned for server in both) == [False, True]
    for started in sorted(both, key=lambda server: server.is_owned):
        assert await value_of(started.application_url, "select 1") == 1
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
        assert await value_of(started.application_url, "select 1") == 1
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
        pid = server_pid(module_home)
        assert os.getsid(pid) == pid
        assert b"hunter2" not in process_file(pid, "environ").read_bytes()
        assert await value_of(started.application_url, "select 1") == 1
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
