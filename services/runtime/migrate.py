"""Brings a database to the shape this code wants, and tells whether it has it.

Two that migrate at once wait for each other, a second run does nothing, and each revision is one
transaction, so that a failure leaves the database at the revision before.
"""

import logging
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SqlConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from migrations.schemas import (
    APPLICATION_ROLE,
    OLDEST_POSTGRES_MAJOR,
    VERSION_SCHEMA,
    VERSION_TABLE,
    VERSIONS,
    schema_names,
)
from services.runtime.database import Connection
from services.runtime.database_reach import login_of, reach
from services.runtime.startup import StartupError

# Any number will do, as long as it stays the same: it is what two migrations agree to queue at.
_ADVISORY_LOCK: Final = 0x5377_6974_6368
_LOCK_PATIENCE_SECONDS: Final = 60

# Roles belong to the whole server: another database's migration may make them at the same time.
_CREATE_APPLICATION_ROLE: Final = f"""
do $$
begin
    if not exists (select from pg_roles where rolname = '{APPLICATION_ROLE}') then
        create role {APPLICATION_ROLE} nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;
end
$$
"""
_ROLE_EXISTS: Final = "select exists (select from pg_roles where rolname = $1)"
_IS_MEMBER: Final = "select pg_has_role($1::name, $2::name, 'member')"
_GRANT_STATEMENT: Final = "select format('grant %I to %I', $1::text, $2::text)"

_OPEN_VERSIONS: Final = f"""
create schema if not exists {VERSION_SCHEMA};
revoke all on schema {VERSION_SCHEMA} from public;
grant usage on schema {VERSION_SCHEMA} to {APPLICATION_ROLE};
create table if not exists {VERSION_SCHEMA}.{VERSION_TABLE} (
    version_num varchar(32) primary key
);
grant select on {VERSION_SCHEMA}.{VERSION_TABLE} to {APPLICATION_ROLE};
"""
_READ_VERSIONS: Final = f"select version_num from {VERSION_SCHEMA}.{VERSION_TABLE}"  # noqa: S608


@dataclass(frozen=True)
class AppliedRevision:
    """One step that a migration took: its name, and the first line of what it says of itself."""

    name: str
    summary: str


async def migrate(*, owner_url: str, application_url: str) -> tuple[AppliedRevision, ...]:
    """Apply, as the owner, what is missing; and let the application's login in."""
    connection = await reach(
        owner_url, setting="DATABASE_OWNER_URL", application_name="payment-cli migrate"
    )
    try:
        _refuse_older_server(connection)
        await _wait_for_turn(connection)
        await _let_application_in(connection, login_of(owner_url), login_of(application_url))
        await connection.execute(_OPEN_VERSIONS)
        _refuse_newer(await _versions(connection))
        applied = await _upgrade(connection)
        await _settle_in(connection)
    except (asyncpg.PostgresError, DBAPIError) as error:
        raise StartupError(_why(error, login_of(owner_url))) from error
    else:
        return applied
    finally:
        await connection.close()


async def assert_migrated(connection: Connection) -> None:
    """Refuse a database that is not exactly at this code's revisions; any login will do."""
    try:
        found = await _versions(connection)
    except (
        asyncpg.UndefinedTableError,
        asyncpg.InvalidSchemaNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as error:
        raise StartupError("the database is not set up: run payment-cli migrate") from error
    _refuse_newer(found)
    missing = sorted(set(_scripts().get_heads()) - found)
    if missing:
        raise StartupError(
            f"the database lacks the migrations up to {', '.join(missing)}: run payment-cli migrate"
        )


def _refuse_older_server(connection: Connection) -> None:
    found = connection.get_server_version().major
    if found < OLDEST_POSTGRES_MAJOR:
        raise StartupError(
            f"the server of DATABASE_OWNER_URL is PostgreSQL {found}: Switchyard needs"
            f" {OLDEST_POSTGRES_MAJOR} or newer"
        )


async def _wait_for_turn(connection: Connection) -> None:
    # It bounds the wait for tables too: a migration queued behind a long transaction would make
    # everybody else queue behind it.
    await connection.execute(f"set lock_timeout = '{_LOCK_PATIENCE_SECONDS}s'")
    await connection.execute("select pg_advisory_lock($1)", _ADVISORY_LOCK)


async def _let_application_in(connection: Connection, owner: str, application: str) -> None:
    if application == owner:
        raise StartupError(
            f"DATABASE_URL and DATABASE_OWNER_URL both log in as {owner}: give DATABASE_URL a login"
            " of its own, which owns nothing"
        )
    if not await connection.fetchval(_ROLE_EXISTS, application):
        raise StartupError(
            f"DATABASE_URL logs in as {application}, which the server does not know: create that"
            " login, then migrate"
        )
    await connection.execute(_CREATE_APPLICATION_ROLE)
    if not await connection.fetchval(_IS_MEMBER, application, APPLICATION_ROLE):
        statement = await connection.fetchval(_GRANT_STATEMENT, APPLICATION_ROLE, application)
        await connection.execute(statement)


async def _versions(connection: Connection) -> set[str]:
    return {row["version_num"] for row in await connection.fetch(_READ_VERSIONS)}


def _refuse_newer(found: set[str]) -> None:
    unknown = sorted(found - {script.revision for script in _scripts().walk_revisions()})
    if unknown:
        raise StartupError(
            f"the database is at {', '.join(unknown)}, which this version of Switchyard does not"
            " know: it is older than the database; run the newer one"
        )


async def _settle_in(connection: Connection) -> None:
    """Let each schema that wants to take note of the server it lives on now."""
    for schema in schema_names():
        if await connection.fetchval("select to_regprocedure($1)", f"{schema}.settle_in()"):
            await connection.execute(f"select {schema}.settle_in()")


async def _upgrade(connection: Connection) -> tuple[AppliedRevision, ...]:
    async def same_connection() -> Connection:
        return connection

    # Alembic speaks through SQLAlchemy; on this very connection, which holds the lock.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=same_connection, poolclass=StaticPool
    )
    async with engine.connect() as sql_connection:
        return await sql_connection.run_sync(_run_alembic)


def _run_alembic(connection: SqlConnection) -> tuple[AppliedRevision, ...]:
    applied: list[AppliedRevision] = []

    def note(*, step: Any, **_: object) -> None:
        applied.append(AppliedRevision(step.up_revision_id, step.up_revision.doc))

    # Alembic tells every start that it has nothing to do.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _config()
    config.attributes.update(connection=connection, on_version_apply=note)
    command.upgrade(config, "heads")
    return tuple(applied)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    folders = sorted(str(folder) for folder in VERSIONS.iterdir() if folder.is_dir())
    config = Config()
    options = {
        "script_location": str(VERSIONS.parent),
        "version_locations": "\n".join(folders),
        "path_separator": "newline",
    }
    for name, value in options.items():
        config.set_main_option(name, value.replace("%", "%%"))
    return config


def _why(error: asyncpg.PostgresError | DBAPIError, owner: str) -> str:
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None)
    message = str(getattr(cause, "__cause__", None) or cause).split("\n", 1)[0]
    if code == asyncpg.LockNotAvailableError.sqlstate:
        return (
            f"the database is busy: another migration or a long transaction went on for more than"
            f" {_LOCK_PATIENCE_SECONDS} s; try again when it is over"
        )
    if code == asyncpg.InsufficientPrivilegeError.sqlstate:
        return (
            f"the login of DATABASE_OWNER_URL, {owner}, may not migrate ({message}): it needs"
            " CREATEROLE, and CREATE on the database"
        )
    return f"migrating failed, and the revision it failed in left nothing behind: {message}"
