"""Migrations: safe together, idempotent, each whole or not there; and who may serve their work."""

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from migrations.schemas import APPLICATION_ROLE, VERSIONS, schema_names
from services.runtime import migrate as migrations
from services.runtime.database_reach import reach
from services.runtime.database_roles import assert_application_login
from services.runtime.migrate import assert_migrated, migrate
from services.runtime.startup import StartupError
from tests.conftest import DatabaseUrls

_numbers = itertools.count(1)

_TRIAL_REVISION = '''
"""{summary}"""

from migrations.schemas import create_schema, execute_script

revision = "{name}"
down_revision = {down}
branch_labels = {labels}
depends_on = None


def upgrade() -> None:
    {body}
'''


async def _run(url: str, *statements: str, user: str | None = None) -> Any:
    """The last statement's first value."""
    connection = await asyncpg.connect(url, user=user)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def _apply(urls: DatabaseUrls) -> list[str]:
    applied = await migrate(owner_url=urls.owner, application_url=urls.application)
    return [revision.name for revision in applied]


async def _check(url: str, check: Any) -> None:
    connection = await reach(url, setting="DATABASE_URL", application_name="test")
    try:
        await check(connection)
    finally:
        await connection.close()


@pytest.fixture
def new_database(empty_database: DatabaseUrls) -> Iterator[DatabaseUrls]:
    """A database in which nothing was migrated."""
    name = f"new_{next(_numbers)}"
    with asyncio.Runner() as runner:
        create = f"create database {name} owner switchyard_owner"
        runner.run(_run(empty_database.owner, create, user="postgres"))
        yield empty_database.named(name)
        runner.run(
            _run(empty_database.owner, f"drop database {name} with (force)", user="postgres")
        )


@pytest.fixture
def trial_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Revisions of our own instead of Switchyard's."""
    folder = tmp_path / "versions" / "trial"
    folder.mkdir(parents=True)
    shutil.copy(VERSIONS.parent / "env.py", tmp_path)
    monkeypatch.setattr(migrations, "VERSIONS", tmp_path / "versions")
    return folder


def _write_revision(folder: Path, number: int, body: str) -> None:
    name = f"trial_{number:04}"
    text = _TRIAL_REVISION.format(
        name=name,
        summary=f"Trial {number}.",
        down=repr(f"trial_{number - 1:04}") if number > 1 else None,
        labels='("trial",)' if number == 1 else None,
        body=body,
    )
    (folder / f"{name}.py").write_text(text)


async def test_a_second_run_applies_nothing(new_database: DatabaseUrls) -> None:
    assert "runtime_0001" in await _apply(new_database)
    assert await _apply(new_database) == []
    await _check(new_database.application, assert_migrated)


async def test_of_two_at_once_one_applies_everything_and_the_other_nothing(
    new_database: DatabaseUrls,
) -> None:
    both = await asyncio.gather(_apply(new_database), _apply(new_database))
    assert sorted(map(bool, both)) == [False, True]


async def test_each_revision_is_whole_or_not_there(
    new_database: DatabaseUrls, trial_versions: Path
) -> None:
    _write_revision(trial_versions, 1, 'create_schema("trial")')
    _write_revision(
        trial_versions, 2, 'execute_script("create table trial.half (); select 1/0; select 2")'
    )
    with pytest.raises(StartupError, match=r"left nothing behind: .*division by zero$"):
        await _apply(new_database)
    schema, table = "to_regnamespace('trial')", "to_regclass('trial.half')"
    assert await _run(new_database.owner, f"select {schema} is not null and {table} is null")
    _write_revision(trial_versions, 2, 'execute_script("create table trial.half ()")')
    assert await _apply(new_database) == ["trial_0002"]


async def test_a_database_that_was_never_migrated_is_not_served(
    new_database: DatabaseUrls,
) -> None:
    with pytest.raises(StartupError, match=r"not set up: run payment-cli migrate$"):
        await _check(new_database.application, assert_migrated)


async def test_a_database_behind_the_code_is_not_served(
    new_database: DatabaseUrls, trial_versions: Path
) -> None:
    _write_revision(trial_versions, 1, 'create_schema("trial")')
    await _apply(new_database)
    await _check(new_database.application, assert_migrated)
    _write_revision(trial_versions, 2, 'execute_script("select 1")')
    with pytest.raises(StartupError, match="up to trial_0002: run payment-cli migrate"):
        await _check(new_database.application, assert_migrated)


async def test_a_database_newer_than_the_code_is_neither_migrated_nor_served(
    database_urls: DatabaseUrls,
) -> None:
    newer = "insert into migrations.alembic_version values ('ledger_9999')"
    await _run(database_urls.owner, newer)
    with pytest.raises(StartupError, match="ledger_9999, which this version"):
        await _apply(database_urls)
    with pytest.raises(StartupError, match="ledger_9999, which this version"):
        await _check(database_urls.application, assert_migrated)


async def test_a_busy_database_is_said_to_be_busy(
    database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_LOCK_PATIENCE_SECONDS", 1)
    other = await asyncpg.connect(database_urls.owner)
    await other.execute("select pg_advisory_lock($1)", migrations._ADVISORY_LOCK)
    with pytest.raises(StartupError, match=r"is busy: .* try again"):
        await _apply(database_urls)
    await other.close()
    assert await _apply(database_urls) == []


async def test_an_owner_that_may_not_migrate_is_told_what_it_lacks(
    new_database: DatabaseUrls,
) -> None:
    await _run(new_database.owner, "create role weak_owner login", user="postgres")
    weak = new_database.owner.replace("switchyard_owner@", "weak_owner@")
    with pytest.raises(StartupError, match=r"weak_owner, may not migrate .* needs"):
        await migrate(owner_url=weak, application_url=new_database.application)


async def test_the_application_needs_a_login_of_its_own(new_database: DatabaseUrls) -> None:
    with pytest.raises(StartupError, match="both log in as switchyard_owner"):
        await migrate(owner_url=new_database.owner, application_url=new_database.owner)
    stranger = new_database.application.replace("switchyard@", "nobody_knows@")
    with pytest.raises(StartupError, match="nobody_knows, which the server does not know"):
        await migrate(owner_url=new_database.owner, application_url=stranger)


async def test_a_new_application_login_is_let_in_by_the_next_run(
    database_urls: DatabaseUrls,
) -> None:
    await _run(database_urls.owner, "create role second_app login", user="postgres")
    second = database_urls.application.replace("switchyard@", "second_app@")
    with pytest.raises(StartupError, match=f"no member of {APPLICATION_ROLE}: run payment-cli"):
        await _check(second, assert_application_login)
    assert await migrate(owner_url=database_urls.owner, application_url=second) == ()
    await _check(second, assert_application_login)
    await _check(second, assert_migrated)


async def test_the_application_gets_what_was_granted_and_nothing_else(
    database_urls: DatabaseUrls,
) -> None:
    await _run(database_urls.owner, "create table runtime.forgotten (id bigint)")
    marks = "select count(*) from runtime.commit_marks"
    assert await _run(database_urls.application, marks) == 0
    for forbidden in (
        "select * from runtime.forgotten",
        "truncate runtime.commit_marks",
        "create table runtime.mine (id bigint)",
        "delete from migrations.alembic_version",
        "create schema mine",
        "set role switchyard_owner",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await _run(database_urls.application, forbidden)


async def test_everything_belongs_to_the_owner_and_nothing_is_everybodys(
    database_urls: DatabaseUrls,
) -> None:
    schemas = list(schema_names())
    assert {"runtime", "migrations"} <= set(schemas)
    connection = await asyncpg.connect(database_urls.owner)
    owners = await connection.fetch(
        """select nspname, nspowner::regrole::text as owner,
                  has_schema_privilege('public', nspname, 'usage') as is_everybodys
             from pg_namespace where nspname = any ($1)""",
        schemas,
    )
    await connection.close()
    assert {row["nspname"] for row in owners} == set(schemas)
    assert {(row["owner"], row["is_everybodys"]) for row in owners} == {("switchyard_owner", False)}


async def test_the_applications_login_may_serve(database_urls: DatabaseUrls) -> None:
    await _check(database_urls.application, assert_application_login)


@pytest.mark.parametrize(
    ("login", "privileges", "line"),
    [
        ("switchyard_owner", (), r"switchyard_owner, who owns the \w+ \S+: give DATABASE_URL"),
        ("postgres", (), "postgres, a superuser: give DATABASE_URL"),
        (
            "app_member",
            ("create role app_member login", "grant switchyard_owner to app_member"),
            r"app_member, who can become switchyard_owner, the owner of the \w+ \S+: give",
        ),
        (
            "app_aloof",
            (
                "create role app_aloof login",
                "grant switchyard_owner to app_aloof with inherit false, set true",
            ),
            "app_aloof, who can become switchyard_owner",
        ),
        (
            "app_disguised",
            (
                "create role app_disguised login",
                "grant switchyard_owner, switchyard_app to app_disguised",
                "alter role app_disguised set role = switchyard_app",
            ),
            "app_disguised, who can become switchyard_owner",
        ),
        (
            "app_table",
            (
                "create role app_table login",
                "grant switchyard_app to app_table",
                "alter table runtime.commit_marks owner to app_table",
            ),
            r"app_table, who owns the table runtime\.commit_marks",
        ),
        (
            "app_schema",
            (
                "create role app_schema login",
                "grant switchyard_app to app_schema",
                "alter schema runtime owner to app_schema",
            ),
            "app_schema, who owns the schema runtime",
        ),
    ],
)
async def test_a_login_that_could_lift_the_rules_may_not_serve(
    database_urls: DatabaseUrls, login: str, privileges: tuple[str, ...], line: str
) -> None:
    await _run(database_urls.owner, *privileges, "select 1", user="postgres")
    with pytest.raises(StartupError, match=line):
        await _check(
            database_urls.application.replace("switchyard@", f"{login}@"), assert_application_login
        )
