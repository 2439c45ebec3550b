"""Tamper evidence: the journal in blocks, each with the digest of its rows and the block before.

A block covers the transactions of a range of database transaction ids (`written_in`), below which
nothing can commit any more. Whoever changes, removes or adds a row behind a seal gives the block
other contents; whoever changes the block breaks the chain.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

GENESIS: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Range:
    """Transaction ids from the first up to, but without, the second, in one epoch."""

    epoch: int
    from_xid: int
    below_xid: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What the journal holds in a range."""

    transaction_count: int
    entry_count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed range: what it held when it was sealed, chained to the block before."""

    number: int
    range: Range
    contents: Contents
    previous_hash: bytes
    hash: bytes
    sealed_at: datetime | None = None

    @classmethod
    def seal(cls, previous: "Block | None", covered: Range, contents: Contents) -> "Block":
        """The block that follows `previous`."""
        number = 1 if previous is None else previous.number + 1
        previous_hash = GENESIS if previous is None else previous.hash
        return cls(
            number,
            covered,
            contents,
            previous_hash,
            _chain(number, covered, contents, previous_hash),
        )

    @property
    def computed_hash(self) -> bytes:
        """The hash that the block's own fields give."""
        return _chain(self.number, self.range, self.contents, self.previous_hash)


def _chain(number: int, covered: Range, contents: Contents, previous_hash: bytes) -> bytes:
    text = (
        f"{number} {covered.epoch} {covered.from_xid} {covered.below_xid} "
        f"{contents.transaction_count} {contents.entry_count} "
        f"{contents.digest.hex()} {previous_hash.hex()}"
    )
    return hashlib.sha256(text.encode()).digest()


class FindingKind(StrEnum):
    """A way in which a ledger can have been tampered with."""

    CONTENT_CHANGED = "CONTENT_CHANGED"
    ROWS_REMOVED = "ROWS_REMOVED"
    ROWS_INSERTED = "ROWS_INSERTED"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    UNBALANCED = "UNBALANCED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the ledger is not what was sealed."""

    kind: FindingKind
    message: str
    block_number: int = 0
    epoch: int = 0
    transaction_id: str = ""


def examine(block: Block, previous: Block | None, found: Contents) -> Iterator[Finding]:
    """What is wrong with a block, given the one before it and what its range holds now."""
    yield from _examine_chain(block, previous)
    if found == block.contents:
        return
    sealed = block.contents
    before = (sealed.transaction_count, sealed.entry_count)
    now = (found.transaction_count, found.entry_count)
    if now == before:
        kind, what = FindingKind.CONTENT_CHANGED, "rows differ from those sealed"
    else:
        fewer = now[0] < before[0] or now[1] < before[1]
        kind = FindingKind.ROWS_REMOVED if fewer else FindingKind.ROWS_INSERTED
        what = "{} transactions and {} entries were sealed, {} and {} are there".format(
            *before, *now
        )
    yield Finding(kind, what, block.number, block.range.epoch)


def _examine_chain(block: Block, previous: Block | None) -> Iterator[Finding]:
    def broken(message: str) -> Finding:
        return Finding(FindingKind.CHAIN_BROKEN, message, block.number, block.range.epoch)

    if block.hash != block.computed_hash:
        yield broken("the block itself was changed: its fields do not give its hash")
    if previous is None:
        if block.number == 1 and block.previous_hash != GENESIS:
            yield broken("the first block names a block before it")
        return
    if block.number != previous.number + 1:
        yield broken(f"block {previous.number + 1} is missing")
    if block.previous_hash != previous.hash:
        yield broken("the block before it is not the one it was chained to")
    if block.range.epoch == previous.range.epoch and (
        block.range.from_xid != previous.range.below_xid
    ):
        yield broken("its range does not follow on the block before")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification has come."""

    blocks_checked: int
    blocks_total: int
    transactions_checked: int
    entries_checked: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a verification ended."""

    findings: tuple[Finding, ...]
    checked: Progress
    sums_minor: dict[str, int]
    transactions_unsealed: int
    sealed_through: datetime | None

    @property
    def intact(self) -> bool:
        return not self.findings


def strays(checked: Progress, lying_before: int) -> Iterator[Finding]:
    """Transactions that lie where all is sealed, and yet in no block."""
    if lying_before != checked.transactions_checked:
        count = lying_before - checked.transactions_checked
        yield Finding(FindingKind.ROWS_INSERTED, f"{count} transactions lie between the blocks")
