"""A home that cannot be served is refused in one line, and left as it was found."""

from pathlib import Path

import pytest

from services.runtime.embedded_postgres import EmbeddedPostgres, data_directory, server
from services.runtime.embedded_postgres.binaries import Binaries
from services.runtime.startup import StartupError


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
    made = await EmbeddedPostgres.start(module_home)
    await made.stop()
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
