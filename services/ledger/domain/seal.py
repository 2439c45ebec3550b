"""Tamper evidence: the journal in blocks, each with the digest of its rows and the block before.

A block covers the transactions of a range of database transaction ids (`written_in`), below which
nothing can commit any more. Whoever changes, removes or adds a row behind a seal gives the block
other contents; whoever changes the block breaks the chain.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

GENESIS: Final = bytes(32)

_MICROSECOND: Final = timedelta(microseconds=1)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    sealed_at: datetime
    previous_hash: bytes
    hash: bytes

    @classmethod
    def seal(
        cls, previous: "Block | None", covered: Range, contents: Contents, sealed_at: datetime
    ) -> "Block":
        """The block that follows `previous`."""
        number = 1 if previous is None else previous.number + 1
        previous_hash = GENESIS if previous is None else previous.hash
        return cls(
            number,
            covered,
            contents,
            sealed_at,
            previous_hash,
            _chain(number, covered, contents, sealed_at, previous_hash),
        )

    @property
    def computed_hash(self) -> bytes:
        """The hash that the block's own fields give."""
        return _chain(self.number, self.range, self.contents, self.sealed_at, self.previous_hash)


def _chain(
    number: int, covered: Range, contents: Contents, sealed_at: datetime, previous_hash: bytes
) -> bytes:
    # A whole number, because text of a moment differs with the time zone it is written in.
    sealed_at_us = (sealed_at - _UNIX_EPOCH) // _MICROSECOND
    text = (
        f"{number} {covered.epoch} {covered.from_xid} {covered.below_xid} "
        f"{contents.transaction_count} {contents.entry_count} "
        f"{contents.digest.hex()} {sealed_at_us} {previous_hash.hex()}"
    )
    return hashlib.sha256(text.encode()).digest()
