"""Keys in PostgreSQL: everything about them but the keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.access.domain.call import Call, Done
from services.access.domain.key import ApiKey, KeyDraft, KeyState, KeyTarget, NewKey, unknown_key
from services.access.domain.scopes import Role
from services.access.domain.secret import Pepper
from services.access.store.calls import claim
from services.access.store.merchants import require_merchant
from services.kernel.errors import Internal
from services.kernel.ids import ApiKeyId, MerchantId
from services.runtime.database import Connection, Database, Record
from services.runtime.queries import load_queries
from services.runtime.startup import StartupError

_SQL: Final = load_queries(__package__)

_WRONG_PEPPER: Final = (
    "the API keys of this database were made under another secret than this process has: set"
    " ACCESS_KEY_PEPPER to that one"
)


class StoredKeys:
    """What the use cases ask of the store."""

    def __init__(self, database: Database, pepper: Pepper) -> None:
        self._database = database
        self._pepper = pepper

    async def check_pepper(self) -> None:
        """Refuse to start where every key would be refused."""
        async with self._database.connection() as connection:
            mark = await connection.fetchval(_SQL["pepper_mark"])
        if mark not in (None, self._pepper.mark):
            raise StartupError(_WRONG_PEPPER)

    async def add(self, call: Call, draft: KeyDraft, new: NewKey, now: datetime) -> Done[ApiKey]:
        """Add a key, or tell of the one that the call has made before."""

        async def work(connection: Connection) -> Done[ApiKey]:
            standing = await claim(connection, call, new.id.hex)
            if standing is not None:
                return Done(await _present(connection, standing), replayed=True)
            if draft.merchant_id is not None:
                await require_merchant(connection, draft.merchant_id)
            key = draft.key(new.id, new.hint, now)
            await self._insert(connection, key, new.digest)
            return Done(key, replayed=False)

        return await self._database.transaction(work)

    async def rotate(
        self, call: Call, target: KeyTarget, new: NewKey, overlap: timedelta, now: datetime
    ) -> Done[tuple[ApiKey, ApiKey]]:
        """Put a new key in the place of another; or tell of both if the call has done it before."""

        async def work(connection: Connection) -> Done[tuple[ApiKey, ApiKey]]:
            standing = await claim(connection, call, new.id.hex)
            if standing is not None:
                both = (
                    await _present(connection, standing),
                    await _present(connection, target.id.hex),
                )
                return Done(both, replayed=True)
            old = await _locked(connection, target)
            replaced = old.replaced(now, overlap)
            key = old.successor(new.id, new.hint, now)
            await self._insert(connection, key, new.digest)
            await connection.execute(
                _SQL["replace_key"], old.id.hex, replaced.replaced_at, replaced.expires_at
            )
            return Done((key, replaced), replayed=False)

        return await self._database.transaction(work)

    async def revoke(self, call: Call, target: KeyTarget, now: datetime) -> Done[ApiKey]:
        """Withdraw a key; one that was withdrawn before stays so."""

        async def work(connection: Connection) -> Done[ApiKey]:
            standing = await claim(connection, call, target.id.hex)
            if standing is None:
                await _locked(connection, target)
                await connection.execute(_SQL["revoke_key"], target.id.hex, now)
            key = await _present(connection, target.id.hex)
            return Done(key, replayed=standing is not None)

        return await self._database.transaction(work)

    async def list_keys(
        self,
        merchant_id: MerchantId | None,
        state: KeyState | None,
        below: ApiKeyId | None,
        limit: int,
        now: datetime,
    ) -> Sequence[ApiKey]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _SQL["list_keys"], _hex(merchant_id), state, now, _hex(below), limit
            )
        return [key_from_row(row) for row in rows]

    async def _insert(self, connection: Connection, key: ApiKey, digest: bytes) -> None:
        await connection.execute(_SQL["mark_pepper"], self._pepper.mark)
        if await connection.fetchval(_SQL["pepper_mark"]) != self._pepper.mark:
            raise Internal(_WRONG_PEPPER)
        await connection.execute(
            _SQL["add_key"],
            key.id.hex,
            _hex(key.merchant_id),
            key.name,
            key.hint,
            key.role,
            list(key.scopes),
            digest,
            key.expires_at,
            _hex(key.replaces_id),
            key.created_at,
        )


async def _locked(connection: Connection, target: KeyTarget) -> ApiKey:
    row = await connection.fetchrow(_SQL["lock_key"], target.id.hex, _hex(target.merchant_id))
    if row is None:
        raise unknown_key(target.id)
    return key_from_row(row)


async def _present(connection: Connection, id_hex: str) -> ApiKey:
    row = await connection.fetchrow(_SQL["find_key"], id_hex)
    assert row is not None, "keys are never removed"
    return key_from_row(row)


def key_from_row(row: Record) -> ApiKey:
    merchant_id, replaces_id = row["merchant_id"], row["replaces_id"]
    return ApiKey(
        id=ApiKeyId.of_hex(row["id"].hex),
        merchant_id=None if merchant_id is None else MerchantId.of_hex(merchant_id.hex),
        name=row["name"],
        hint=row["hint"],
        role=Role(row["role"]),
        scopes=tuple(row["scopes"]),
        expires_at=row["expires_at"],
        replaces_id=None if replaces_id is None else ApiKeyId.of_hex(replaces_id.hex),
        replaced_at=row["replaced_at"],
        revoked_at=row["revoked_at"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
    )


def _hex(id: MerchantId | ApiKeyId | None) -> str | None:  # noqa: A002 -- whichever's
    return None if id is None else id.hex
