"""The real PostgreSQL that tests share: one server a run, a freshly migrated database a test."""

import asyncio
import itertools
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate

_numbers = itertools.count(1)


@dataclass(frozen=True)
class DatabaseUrls:
    """One database, as its owner and as the application sees it."""

    owner: str
    application: str

    def named(self, name: str) -> "DatabaseUrls":
        return DatabaseUrls(_renamed(self.owner, name), _renamed(self.application, name))


def _renamed(url: str, name: str) -> str:
    return re.sub(r"@/\w+", f"@/{name}", url)


@contextmanager
def short_folder() -> Iterator[Path]:
    # A socket's path may have about a hundred characters, which pytest's own folders use up; and
    # each run of pytest closes those folders anew, to the server's account of a run beside it too.
    folder = Path(tempfile.mkdtemp(prefix="sy-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def short_tmp_path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The run's own server."""
    with short_folder() as home, asyncio.Runner() as runner:
        server = runner.run(EmbeddedPostgres.start(home))
        try:
            yield server
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="session")
def server_socket(postgres: EmbeddedPostgres) -> Path:
    return postgres.socket


@pytest.fixture(scope="session")
def empty_database(postgres: EmbeddedPostgres) -> DatabaseUrls:
    """The server's first database, in which nothing was migrated."""
    return DatabaseUrls(postgres.owner_url, postgres.application_url)


@pytest.fixture(scope="session")
def migrated_template(empty_database: DatabaseUrls) -> DatabaseUrls:
    """What every test's database is a copy of; nobody connects to it."""
    template = empty_database.named("template_migrated")
    with asyncio.Runner() as runner:
        create = "create database template_migrated owner switchyard_owner"
        runner.run(_execute(empty_database, create))
        runner.run(migrate(owner_url=template.owner, application_url=template.application))
    return template


@pytest.fixture
def database_urls(migrated_template: DatabaseUrls) -> Iterator[DatabaseUrls]:
    """A migrated database of the test's own."""
    with _copy(migrated_template) as urls:
        yield urls


@pytest.fixture(scope="module")
def module_database_urls(migrated_template: DatabaseUrls) -> Iterator[DatabaseUrls]:
    """A migrated database that the tests of a module share."""
    with _copy(migrated_template) as urls:
        yield urls


@pytest.fixture
def owner_url(database_urls: DatabaseUrls) -> str:
    return database_urls.owner


@pytest.fixture
def application_url(database_urls: DatabaseUrls) -> str:
    return database_urls.application


@contextmanager
def _copy(template: DatabaseUrls) -> Iterator[DatabaseUrls]:
    name = f"test_{next(_numbers)}"
    create = f"create database {name} template template_migrated owner switchyard_owner"
    door = template.named("switchyard")
    with asyncio.Runner() as runner:
        runner.run(_execute(door, create))
    yield template.named(name)
    with asyncio.Runner() as runner:
        runner.run(_execute(door, f"drop database {name} with (force)"))


async def _execute(database: DatabaseUrls, statement: str) -> None:
    # As the server's superuser: Switchyard's own logins make no databases.
    connection = await asyncpg.connect(database.owner, user="postgres")
    await connection.execute(statement)
    await connection.close()
