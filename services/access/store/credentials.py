"""Keys as callers show them, when they were used, and what has changed about them."""

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Final

from services.access.domain.key import Credential
from services.access.store.keys import key_from_row
from services.kernel.errors import Unavailable
from services.kernel.ids import ApiKeyId, MerchantId
from services.runtime.database import DATABASE_ERRORS, Connection, Database, is_connection_loss
from services.runtime.queries import load_queries

_SQL: Final = load_queries(__package__)


class StoredCredentials:
    """What authentication asks of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: bytes) -> Credential | None:
        try:
            async with self._database.connection() as connection:
                row = await connection.fetchrow(_SQL["find_credential"], digest)
        except DATABASE_ERRORS as error:
            # Every request comes past here: none may take a lost connection for a wrong key.
            if is_connection_loss(error):
                raise Unavailable("the database went away while a key was looked up") from error
            raise
        if row is None:
            return None
        return Credential(row["digest"], key_from_row(row), row["merchant_active"])

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                _SQL["note_uses"], [key_id.hex for key_id in uses], list(uses.values())
            )


async def changed_since(
    connection: Connection, horizon: str
) -> tuple[Set[ApiKeyId | MerchantId], str]:
    """Whose rows were written since a horizon, and the horizon to ask from the next time."""
    # The horizon is read first: what commits between the two statements is then only told twice.
    beyond = await horizon_now(connection)
    rows = await connection.fetch(_SQL["changed_since"], horizon)
    changed = {
        ApiKeyId.of_hex(row["id"].hex) if row["is_key"] else MerchantId.of_hex(row["id"].hex)
        for row in rows
    }
    return changed, beyond


async def horizon_now(connection: Connection) -> str:
    """The horizon of someone who wants to hear of nothing that stands already."""
    horizon: str = await connection.fetchval(_SQL["horizon"])
    return horizon
