"""The hash blocks: sealing what is safely past, and reading it all again.

Who seals is also a witness: the last block it saw must still stand when it seals the next, or it
seals no more. Blocks that somebody took away would otherwise be sealed anew by our own hand, rows
changed meanwhile included.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from services.kernel.errors import FailedPrecondition
from services.kernel.ids import LedgerTransactionId
from services.ledger.domain.seal import Block, Contents, Range
from services.ledger.domain.verification import (
    LISTED_PER_KIND,
    OVERDUE_AFTER,
    Finding,
    FindingKind,
    Unsealed,
    Wholeness,
)
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.queries import load_queries
from services.runtime.startup import StartupError

_SQL: Final = load_queries("services.ledger.store")

_SEALER_LOCK: Final = 0x1ED6E5
_PAGE: Final = 100
# A sealer whose network is cut must not keep the lock, nor what is past unsealed, for hours.
_SILENCE: Final = timedelta(seconds=10)
# Past every transaction id that a server will ever give.
_END_OF_EPOCH: Final = 2**62


class Seals:
    """What sealing and verifying ask of the database."""

    def __init__(
        self, database: Database, *, block_size: int = 10_000, silence: timedelta = _SILENCE
    ) -> None:
        self._database = database
        self._block_size = block_size
        self._silence_ms = silence // timedelta(milliseconds=1)
        self._witnessed: Block | None = None

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
            silence_ms = str(self._silence_ms)
            if not await connection.fetchval(_SQL["lock_sealer"], _SEALER_LOCK, silence_ms):
                return None
            await self._refuse_if_vanished(connection)
            # Before the snapshot of any other statement: what is below it now stays below it.
            horizon = await connection.fetchrow(_SQL["horizon"])
            assert horizon is not None
            previous = self._witnessed = await _last_block(connection)
            covered = await self._next_range(connection, previous, int(horizon["safe_below"]))
            if covered is None:
                return None
            contents = await _contents(connection, covered)
            block = Block.seal(previous, covered, contents, horizon["sealed_at"])
            await connection.execute(_SQL["insert_block"], *_columns(block))
            return block

        block = await self._database.transaction(work)
        if block is not None:
            self._witnessed = block
        return block

    async def _refuse_if_vanished(self, connection: Connection) -> None:
        known = self._witnessed
        if known is not None and not await _stands(connection, known):
            raise FailedPrecondition(
                f"ledger block {known.number} of hash {known.hash.hex()} is gone or another now:"
                " nothing is sealed until it is back, or until this process starts anew"
            )

    async def _next_range(
        self, connection: Connection, previous: Block | None, safe_below: int
    ) -> Range | None:
        after = (0, 0) if previous is None else (previous.range.epoch, previous.range.below_xid)
        first = await connection.fetchrow(_SQL["sealable_from"], after[0], str(after[1]))
        if first is None:
            return None
        epoch, first_xid = first["epoch"], int(first["xid"])
        # An epoch that is over gets no more rows; one past its last id closes it.
        current_epoch = await connection.fetchval(_SQL["current_epoch"])
        limit = safe_below if epoch == current_epoch else _END_OF_EPOCH
        if first_xid >= limit or epoch > current_epoch:
            return None
        from_xid = after[1] if epoch == after[0] else 0
        end = await connection.fetchval(
            _SQL["block_end"], epoch, str(from_xid), str(limit), self._block_size
        )
        # A transaction larger than a block is sealed whole all the same.
        below_xid = limit if end is None else max(int(end), first_xid + 1)
        return Range(epoch, from_xid, below_xid)

    async def vanished(self) -> Block | None:
        """The block that this process saw last, when it stands no longer."""
        known = self._witnessed
        if known is None:
            return None
        async with self._database.connection() as connection:
            return None if await _stands(connection, known) else known

    async def blocks(self, from_number: int) -> AsyncIterator[tuple[Block, Contents]]:
        """Every block from a number on, with what its range holds now.

        No connection is held while the reader has the block: it may be slow, and there are few.
        """
        after = from_number - 1
        while page := await self._page(after):
            for block in page:
                async with self._database.connection() as connection:
                    contents = await _contents(connection, block.range)
                yield block, contents
            after = page[-1].number

    async def _page(self, after: int) -> list[Block]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["blocks_from"], after, _PAGE)
        return [_block(row) for row in rows]

    async def block(self, number: int) -> Block | None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["blocks_from"], number - 1, 1)
        return _block(rows[0]) if rows and rows[0]["number"] == number else None

    async def count_blocks(self, from_number: int) -> int:
        async with self._database.connection() as connection:
            return int(await connection.fetchval(_SQL["count_blocks"], from_number))

    async def first_number_of(self, epoch: int) -> int | None:
        async with self._database.connection() as connection:
            number: int | None = await connection.fetchval(_SQL["first_of_epoch"], epoch)
            return number

    async def count_before(self, last: Block) -> int:
        """How many transactions lie where the blocks up to this one should hold them all."""
        async with self._database.connection() as connection:
            return int(
                await connection.fetchval(
                    _SQL["count_before"], last.range.epoch, str(last.range.below_xid)
                )
            )

    async def unsealed(self) -> Unsealed:
        """What lies after the last block."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["unsealed"], OVERDUE_AFTER)
        assert row is not None
        return Unsealed(row["count"], row["overdue_count"], row["oldest_at"])

    async def check_whole(self) -> Wholeness:
        """The sum per currency, and every transaction that is not whole, in one snapshot."""

        async def work(connection: Connection) -> Wholeness:
            sums = await connection.fetch(_SQL["sums"])
            broken = await connection.fetch(_SQL["not_whole"], LISTED_PER_KIND)
            return Wholeness(
                {row["currency"]: int(row["total"]) for row in sums},
                [_not_whole(row) for row in broken],
                broken[0]["broken_count"] if broken else 0,
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
    (row,) = await connection.fetch(_SQL["blocks_from"], number - 1, 1)
    return _block(row)


async def _stands(connection: Connection, block: Block) -> bool:
    return bool(await connection.fetchval(_SQL["block_stands"], block.number, block.hash))


async def _contents(connection: Connection, covered: Range) -> Contents:
    row = await connection.fetchrow(
        _SQL["contents"], covered.epoch, str(covered.from_xid), str(covered.below_xid)
    )
    assert row is not None
    return Contents(row["transaction_count"], row["entry_count"], row["digest"])


def _block(row: Record) -> Block:
    return Block(
        row["number"],
        Range(row["epoch"], int(row["from_xid"]), int(row["below_xid"])),
        Contents(row["transaction_count"], row["entry_count"], row["digest"]),
        row["sealed_at"],
        row["previous_hash"],
        row["hash"],
    )


def _columns(block: Block) -> tuple[object, ...]:
    # When it was sealed the database writes by itself: the same moment that the hash was given.
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
