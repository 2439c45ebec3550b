"""Where versions are kept: one table that is only ever added to."""

from collections.abc import Sequence
from typing import Final, Protocol

from services.kernel.ids import MerchantId
from services.merchant_config.domain.settings import MerchantConfig, MerchantSettings
from services.merchant_config.domain.version import Proposal, Stored, key_reused, stale
from services.runtime.database import Connection, Database, Record
from services.runtime.queries import load_queries

_SQL: Final = load_queries(__package__)


class SettingsCodec(Protocol):
    """Writes settings down as text and reads them back; the store knows none of the contracts."""

    def encode(self, settings: MerchantSettings) -> str: ...

    def decode(self, text: str) -> MerchantSettings: ...


class Versions:
    """What the use cases ask of the store."""

    def __init__(self, database: Database, codec: SettingsCodec) -> None:
        self._database = database
        self._codec = codec

    async def standing(self, proposal: Proposal) -> Stored | None:
        """What the proposal's key stands for already."""
        fingerprint = proposal.fingerprint(self._codec.encode(proposal.settings))
        async with self._database.connection() as connection:
            return await self._standing(connection, proposal, fingerprint)

    async def put(self, proposal: Proposal) -> Stored:
        """Add the proposal as the next version, or return what its key stands for."""
        text = self._codec.encode(proposal.settings)
        fingerprint = proposal.fingerprint(text)

        async def work(connection: Connection) -> Stored:
            row = await connection.fetchrow(
                _SQL["add_version"],
                proposal.merchant_id.hex,
                proposal.expected_version,
                text,
                proposal.comment,
                proposal.author,
                proposal.idempotency_key,
                fingerprint,
            )
            if row is not None:
                return Stored(_config(row, proposal.settings), replayed=False)
            # Asked before it is called stale: its own version may be what came between.
            standing = await self._standing(connection, proposal, fingerprint)
            if standing is not None:
                return standing
            newest = await _newest(connection, proposal.merchant_id)
            raise stale(proposal.expected_version, newest)

        return await self._database.transaction(work)

    async def _standing(
        self, connection: Connection, proposal: Proposal, fingerprint: bytes
    ) -> Stored | None:
        row = await connection.fetchrow(
            _SQL["find_by_key"], proposal.merchant_id.hex, proposal.idempotency_key
        )
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise key_reused(proposal.idempotency_key, row["version"])
        return Stored(_config(row, self._codec.decode(row["settings"])), replayed=True)

    async def find(self, merchant_id: MerchantId, version: int) -> MerchantConfig | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["find_version"], merchant_id.hex, version)
        return None if row is None else _config(row, self._codec.decode(row["settings"]))

    async def newest(self, merchant_id: MerchantId) -> int:
        """The number of the newest version; zero when there is none."""
        async with self._database.connection() as connection:
            return await _newest(connection, merchant_id)

    async def list_versions(
        self, merchant_id: MerchantId, below: int | None, limit: int
    ) -> Sequence[MerchantConfig]:
        """Versions below one, newest first, without their settings."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["list_versions"], merchant_id.hex, below, limit)
        return [_config(row, None) for row in rows]


async def written_since(
    connection: Connection, horizon: str
) -> tuple[Sequence[MerchantConfig], str]:
    """What was added since a horizon, and the horizon to ask from the next time."""
    # The horizon is read first: what commits between the two statements is then only told twice.
    beyond = await horizon_now(connection)
    rows = await connection.fetch(_SQL["written_since"], horizon)
    return [_config(row, None) for row in rows], beyond


async def horizon_now(connection: Connection) -> str:
    """The horizon of someone who wants to hear of nothing that stands already."""
    horizon: str = await connection.fetchval(_SQL["horizon"])
    return horizon


async def _newest(connection: Connection, merchant_id: MerchantId) -> int:
    newest: int = await connection.fetchval(_SQL["newest_version"], merchant_id.hex)
    return newest


def _config(row: Record, settings: MerchantSettings | None) -> MerchantConfig:
    return MerchantConfig(
        MerchantId.of_hex(row["merchant_id"].hex),
        row["version"],
        settings,
        row["comment"],
        row["author"],
        row["created_at"],
    )
