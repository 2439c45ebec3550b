"""The server's programs are found, and root opens no more than the account that runs them needs."""

import logging
import os
import pwd
import stat
from pathlib import Path

import pytest

from services.runtime.embedded_postgres import EmbeddedPostgres, binaries
from services.runtime.embedded_postgres.account import ACCOUNT_NAME, Account
from services.runtime.embedded_postgres.binaries import Binaries, find_binaries
from services.runtime.startup import StartupError
from tests.runtime.embedded_postgres.processes import process_file, server_pid, value_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server an account")


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
        assert await value_of(started.application_url, "select 1") == 1
        process = process_file(server_pid(inside / "home"), "status")
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
