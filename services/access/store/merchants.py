"""Merchants in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.access.domain.call import Call, Done
from services.access.domain.merchant import (
    Merchant,
    MerchantChange,
    MerchantState,
    stale,
    unknown_merchant,
)
from services.access.store.calls import claim
from services.kernel.ids import MerchantId
from services.runtime.database import Connection, Database, Record
from services.runtime.queries import load_queries

_SQL: Final = load_queries(__package__)


class StoredMerchants:
    """What the use cases ask of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, call: Call, merchant: Merchant) -> Done[Merchant]:
        """Add a merchant, or tell of the one that the call has made before."""

        async def work(connection: Connection) -> Done[Merchant]:
            standing = await claim(connection, call, merchant.id.hex)
            if standing is not None:
                return Done(await _present(connection, MerchantId.of_hex(standing)), replayed=True)
            await connection.execute(
                _SQL["add_merchant"],
                merchant.id.hex,
                merchant.name,
                merchant.state,
                merchant.contact_email,
                merchant.version,
                merchant.created_at,
                merchant.updated_at,
            )
            return Done(merchant, replayed=False)

        return await self._database.transaction(work)

    async def change(self, call: Call, change: MerchantChange, now: datetime) -> Done[Merchant]:
        """Make the next version, or tell of the merchant if the call has changed it before."""

        async def work(connection: Connection) -> Done[Merchant]:
            if await claim(connection, call, change.merchant_id.hex) is not None:
                return Done(await _present(connection, change.merchant_id), replayed=True)
            row = await connection.fetchrow(
                _SQL["change_merchant"],
                change.merchant_id.hex,
                change.expected_version,
                change.name,
                change.contact_email,
                change.state,
                now,
            )
            if row is None:
                present = await _present(connection, change.merchant_id)
                raise stale(change.expected_version, present.version)
            return Done(_merchant(row), replayed=False)

        return await self._database.transaction(work)

    async def find(self, merchant_id: MerchantId) -> Merchant | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["find_merchant"], merchant_id.hex)
        return None if row is None else _merchant(row)

    async def list_merchants(
        self, state: MerchantState | None, above: MerchantId | None, limit: int
    ) -> Sequence[Merchant]:
        after = None if above is None else above.hex
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["list_merchants"], state, after, limit)
        return [_merchant(row) for row in rows]


async def require_merchant(connection: Connection, merchant_id: MerchantId) -> None:
    """Refuse an id that no merchant has."""
    await _present(connection, merchant_id)


async def _present(connection: Connection, merchant_id: MerchantId) -> Merchant:
    row = await connection.fetchrow(_SQL["find_merchant"], merchant_id.hex)
    if row is None:
        raise unknown_merchant(merchant_id)
    return _merchant(row)


def _merchant(row: Record) -> Merchant:
    return Merchant(
        MerchantId.of_hex(row["id"].hex),
        row["name"],
        MerchantState(row["state"]),
        row["contact_email"],
        row["version"],
        row["created_at"],
        row["updated_at"],
    )
