"""The hash blocks: sealing what is safely past, and reading it all again."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from services.kernel.ids import LedgerTransactionId
from services.ledger.domain.seal import Block, Contents, Finding, FindingKind, Range
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.queries import load_queries
from services.runtime.startup import StartupError

_SQL: Final = load_queries("services.ledger.store")

_SEALER_LOCK: Final = 0x1ED6E5
_PAGE: Final = 100


class Seals:
    """What sealing and verifying ask of the database."""

    def __init__(self, database: Database, *, block_size: int = 10_000) -> None:
        self._database = database
        self._block_size = block_size

    async def check_settled(self) -> None:
        """Refuse to write where transaction ids are counted anew and nobody has said so."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(_SQL["is_settled"]):
                raise StartupError(
                    "the ledger was restored from another server: run payment-cli migrate, which"
                    " begins a new epoch of its seals"
                )

    async def seal_next(self) -> Block | None:
        """Seal one block of what can no longer change; None when there is nothing to seal."""

        async def work(connection: Connection) -> Block | None:
            if not await connection.fetchval(_SQL["lock_sealer"], _SEALER_LOCK):
                return None
            # Before the snapshot of any other statement: what is below it now stays below it.
            safe_below = await connection.fetchval(_SQL["safe_below"])
            previous = await _last_block(connection)
            covered = await self._next_range(connection, previous, safe_below)
            if covered is None:
                return None
            block = Block.seal(previous, covered, await _contents(connection, covered))
            await connection.execute(_SQL["insert_block"], *_columns(block))
            return block

        return await self._database.transaction(work)

    async def _next_range(
        self, connection: Connection, previous: Block | None, safe_below: int
    ) -> Range | None:
        after = (0, 0) if previous is None else (previous.range.epoch, previous.range.below_xid)
        first = await connection.fetchrow(_SQL["sealable_from"], after[0], str(after[1]))
        if first is None:
            return None
        epoch, first_xid = first["epoch"], first["xid"]
        if epoch == await connection.fetchval(_SQL["current_epoch"]):
            if first_xid >= safe_below:
                return None
            limit = safe_below
        else:
            # An epoch that is over gets no more rows; one past its last id closes it.
            limit = 2**62
        from_xid = after[1] if epoch == after[0] else 0
        end = await connection.fetchval(
            _SQL["block_end"], epoch, str(from_xid), str(limit), self._block_size
        )
        # A transaction larger than a block is sealed whole all the same.
        below_xid = limit if end is None else max(end, first_xid + 1)
        return Range(epoch, from_xid, below_xid)

    async def blocks(self, from_number: int) -> AsyncIterator[tuple[Block, Contents]]:
        """Every block from a number on, with what its range holds now."""
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_SQL["blocks_from"], from_number, _PAGE)
                for row in rows:
                    block = _block(row)
                    yield block, await _contents(connection, block.range)
            if len(rows) < _PAGE:
                return
            from_number = rows[-1]["number"] + 1

    async def block(self, number: int) -> Block | None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["blocks_from"], number, 1)
        return _block(rows[0]) if rows and rows[0]["number"] == number else None

    async def count_blocks(self, from_number: int) -> int:
        async with self._database.connection() as connection:
            return int(await connection.fetchval(_SQL["count_blocks"], from_number))

    async def count_before(self, last: Block) -> int:
        """How many transactions lie where the blocks up to this one should hold them all."""
        async with self._database.connection() as connection:
            return int(
                await connection.fetchval(
                    _SQL["count_before"], last.range.epoch, str(last.range.below_xid)
                )
            )

    async def count_unsealed(self, last: Block | None) -> int:
        """How many transactions came after the last block."""
        after = (0, 0) if last is None else (last.range.epoch, last.range.below_xid)
        async with self._database.connection() as connection:
            return int(await connection.fetchval(_SQL["count_unsealed"], after[0], str(after[1])))

    async def check_whole(self) -> tuple[dict[str, int], Sequence[Finding]]:
        """The sum per currency, and every transaction that is not whole, in one snapshot."""

        async def work(connection: Connection) -> tuple[dict[str, int], Sequence[Finding]]:
            sums = await connection.fetch(_SQL["sums"])
            broken = await connection.fetch(_SQL["not_whole"])
            return (
                {row["currency"]: int(row["total"]) for row in sums},
                [_not_whole(row) for row in broken],
            )

        return await self._database.transaction(work, isolation=Isolation.REPEATABLE_READ)


def _not_whole(row: Record) -> Finding:
    transaction_id = LedgerTransactionId.of_hex(row["id"].hex)
    if row["headless"]:
        message = f"{row['entry_count']} entries belong to no transaction"
    elif row["leg_count"] != row["entry_count"]:
        message = f"has {row['entry_count']} entries where its header counts {row['leg_count']}"
    else:
        message = "does not sum to zero"
    return Finding(FindingKind.UNBALANCED, message, transaction_id=transaction_id)


async def _last_block(connection: Connection) -> Block | None:
    number = await connection.fetchval(_SQL["last_block_number"])
    if number is None:
        return None
    (row,) = await connection.fetch(_SQL["blocks_from"], number, 1)
    return _block(row)


async def _contents(connection: Connection, covered: Range) -> Contents:
    row = await connection.fetchrow(
        _SQL["contents"], covered.epoch, str(covered.from_xid), str(covered.below_xid)
    )
    assert row is not None
    return Contents(row["transaction_count"], row["entry_count"], row["digest"])


def _block(row: Record) -> Block:
    sealed_at: datetime = row["sealed_at"]
    return Block(
        row["number"],
        Range(row["epoch"], row["from_xid"], row["below_xid"]),
        Contents(row["transaction_count"], row["entry_count"], row["digest"]),
        row["previous_hash"],
        row["hash"],
        sealed_at,
    )


def _columns(block: Block) -> tuple[object, ...]:
    return (
        block.number,
        block.range.epoch,
        str(block.range.from_xid),
        str(block.range.below_xid),
        block.contents.transaction_count,
        block.contents.entry_count,
        block.contents.digest,
        block.previous_hash,
        block.hash,
    )
