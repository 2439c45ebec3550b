"""The words that revisions are written in: schemas, grants, and SQL as people write it.

A schema belongs to the login that migrates. The application's logins get in through one role,
which owns nothing and is granted, table by table, what the code does to that table and no more:
there are no default privileges, so a table that nobody thought about is closed.
"""

import re
from pathlib import Path
from typing import Final

import asyncpg
from alembic import op

# The revisions use its uuidv7().
OLDEST_POSTGRES_MAJOR: Final = 18
APPLICATION_ROLE: Final = "switchyard_app"
VERSION_SCHEMA: Final = "migrations"
VERSION_TABLE: Final = "alembic_version"
VERSIONS: Final = Path(__file__).parent / "versions"

_SCHEMA_NAME: Final = re.compile(r"[a-z][a-z_]*")


def schema_names() -> tuple[str, ...]:
    """Every schema that revisions make, and the one that says which were applied."""
    folders = (folder.name for folder in VERSIONS.iterdir() if _SCHEMA_NAME.fullmatch(folder.name))
    return (*sorted(folders), VERSION_SCHEMA)


def create_schema(name: str) -> None:
    """A schema that the application may look into, and nobody else."""
    assert _SCHEMA_NAME.fullmatch(name)
    execute_script(
        f"""
        create schema {name};
        revoke all on schema {name} from public;
        grant usage on schema {name} to {APPLICATION_ROLE};
        """
    )


def grant(privileges: str, *, on: str) -> None:
    """Let the application do this much: `grant("select, insert", on="ledger.entries")`."""
    op.execute(f"grant {privileges} on {on} to {APPLICATION_ROLE}")


def execute_script(sql: str) -> None:
    """Run several statements at once, in the revision's transaction; there are no parameters."""
    # SQLAlchemy prepares each statement, and PostgreSQL prepares one at a time; this opens the
    # transaction, and the script then goes past it to the driver.
    op.execute("select")
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None

    async def run(driver: "asyncpg.Connection[asyncpg.Record]") -> None:
        await driver.execute(sql)

    connection.run_async(run)
