"""The process's database: one that was set or one of our own, known to be sound."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.database import Database
from services.runtime.database_reach import reach
from services.runtime.database_roles import assert_application_login
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import assert_migrated, migrate
from services.runtime.settings import Settings


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """Where the application logs in: what was set, or a server of our own, migrated."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = await EmbeddedPostgres.start(settings.switchyard_home)
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        yield server.application_url
    finally:
        await server.stop()


@asynccontextmanager
async def checked_database(url: str) -> AsyncIterator[Database]:
    """The database, once it is known to have this code's shape and to keep its own rules."""
    connection = await reach(url, setting="DATABASE_URL", application_name="switchyard")
    try:
        await assert_migrated(connection)
        await assert_application_login(connection)
    finally:
        await connection.close()
    database = await Database.connect(url, application_name="switchyard")
    try:
        yield database
    finally:
        await database.close()
