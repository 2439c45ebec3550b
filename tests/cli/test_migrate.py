"""`payment-cli migrate` from outside: what it prints, and the code it leaves with."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from services.runtime.embedded_postgres import EmbeddedPostgres
from tests.conftest import DatabaseUrls

_SECRET = "hunter2"  # noqa: S105 -- what must never be shown


def _migrate(*arguments: str, **environment: str | None) -> Result:
    cleared = {"DATABASE_URL": None, "DATABASE_OWNER_URL": None, "SWITCHYARD_HOME": None}
    return CliRunner().invoke(main, ["migrate", *arguments], env=cleared | environment)


def _refusal(result: Result, *, code: int) -> str:
    """The one line that a refusal is."""
    assert result.exit_code == code
    assert result.stdout == ""
    assert _SECRET not in result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("payment-cli: ")
    return line.removeprefix("payment-cli: ")


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that is taken, so that nobody else can, and at which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def test_the_embedded_database_is_migrated_once(short_tmp_path: Path) -> None:
    first = _migrate("--home", str(short_tmp_path))
    assert first.exit_code == 0, first.output
    assert "applied runtime_0001: The marks by which group commit" in first.stdout
    second = _migrate(SWITCHYARD_HOME=str(short_tmp_path))
    assert (second.exit_code, second.stdout) == (
        0,
        "nothing to apply: the database is up to date\n",
    )
    assert not (short_tmp_path / "postgres/data/postmaster.pid").exists()


def test_a_server_of_ones_own_is_migrated_by_its_two_urls(database_urls: DatabaseUrls) -> None:
    result = _migrate(
        DATABASE_URL=database_urls.application, DATABASE_OWNER_URL=database_urls.owner
    )
    assert (result.exit_code, result.stdout) == (
        0,
        "nothing to apply: the database is up to date\n",
    )


def test_without_the_owners_url_it_says_what_is_missing(database_urls: DatabaseUrls) -> None:
    line = _refusal(_migrate(DATABASE_URL=database_urls.application), code=2)
    assert line.startswith("DATABASE_OWNER_URL is not set")


def test_a_wrong_setting_is_a_usage_error() -> None:
    line = _refusal(_migrate(DATABASE_URL=f"mysql://a:{_SECRET}@h/d"), code=2)
    assert line.startswith("DATABASE_URL is no PostgreSQL URL")


def test_an_unknown_option_is_a_usage_error() -> None:
    assert _migrate("--hom", "x").exit_code == 2


def test_an_unreachable_database_is_one_line(free_port: int) -> None:
    line = _refusal(
        _migrate(
            DATABASE_URL=f"postgresql://app:{_SECRET}@127.0.0.1:{free_port}/d",
            DATABASE_OWNER_URL=f"postgresql://owner:{_SECRET}@127.0.0.1:{free_port}/d",
        ),
        code=1,
    )
    assert line.startswith(f"DATABASE_OWNER_URL: nobody answers at 127.0.0.1:{free_port}")


def test_a_database_that_does_not_exist_is_one_line(empty_database: DatabaseUrls) -> None:
    elsewhere = empty_database.named("nowhere")
    result = _migrate(DATABASE_URL=elsewhere.application, DATABASE_OWNER_URL=elsewhere.owner)
    assert "has no such database: create it" in _refusal(result, code=1)


def test_a_wrong_password_is_one_line(
    postgres: EmbeddedPostgres, empty_database: DatabaseUrls
) -> None:
    asyncio.run(_execute(postgres, "create role locked login password 'another'"))
    rules = postgres.socket.parents[1] / "data" / "pg_hba.conf"
    rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}")
    asyncio.run(_execute(postgres, "select pg_reload_conf()"))
    owner = empty_database.owner.replace("switchyard_owner@", f"locked:{_SECRET}@")
    result = _migrate(DATABASE_URL=empty_database.application, DATABASE_OWNER_URL=owner)
    assert "refuses the login locked: check its name and password" in _refusal(result, code=1)


async def _execute(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.owner_url, user="postgres")
    await connection.execute(statement)
    await connection.close()


def test_data_of_another_version_is_one_line(tmp_path: Path) -> None:
    data = tmp_path / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    assert "is of PostgreSQL 16" in _refusal(_migrate("--home", str(tmp_path)), code=1)


def test_the_owners_login_in_the_applications_place_is_one_line(
    database_urls: DatabaseUrls,
) -> None:
    result = _migrate(DATABASE_URL=database_urls.owner, DATABASE_OWNER_URL=database_urls.owner)
    assert "both log in as switchyard_owner" in _refusal(result, code=1)
