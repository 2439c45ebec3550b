"""payment-cli migrate: brings the database to the shape that this version of Switchyard wants."""

import asyncio
from pathlib import Path

import click

from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import AppliedRevision
from services.runtime.migrate import migrate as migrate_database
from services.runtime.settings import Settings, SettingsError, load_settings


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the embedded database lives, when DATABASE_URL is not set.",
)
def migrate(home: Path | None) -> None:
    """Apply the migrations that the database lacks.

    Logs in by DATABASE_OWNER_URL, and lets the login of DATABASE_URL use what it makes. Without
    either it migrates the embedded database. Running it again does nothing.
    """
    settings = load_settings(switchyard_home=home)
    applied = asyncio.run(migrate_as_set(settings))
    for revision in applied:
        click.echo(f"applied {revision.name}: {revision.summary}")
    if not applied:
        click.echo("nothing to apply: the database is up to date")


async def migrate_as_set(settings: Settings) -> tuple[AppliedRevision, ...]:
    """Migrate the database that was set, by the login that was set for it, or the embedded one."""
    if settings.database_url is None:
        async with EmbeddedPostgres.borrowed(settings.switchyard_home) as server:
            return await migrate_database(
                owner_url=server.owner_url, application_url=server.application_url
            )
    if settings.database_owner_url is None:
        raise SettingsError(
            "DATABASE_OWNER_URL is not set: migrating wants the login that owns the schemas"
        )
    return await migrate_database(
        owner_url=settings.database_owner_url.get_secret_value(),
        application_url=settings.database_url.get_secret_value(),
    )
