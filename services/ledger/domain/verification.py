"""Reading the seals again: what a verification looks for, and how it is summed up.

A finding is a place where the ledger is not what was sealed. One kind is weaker than the others:
transactions that should long be sealed and are not. Deleted blocks look like that, and so does a
sealer that nobody runs; so it is told apart, and a ledger that shows it is not called intact.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.ledger.domain.seal import GENESIS, Block, Contents

# Ten times what the sealer lets a transaction wait.
OVERDUE_AFTER: Final = timedelta(minutes=5)

# One kind must not crowd the others out of a verdict, which has to fit into one message.
LISTED_PER_KIND: Final = 100


class FindingKind(StrEnum):
    """A way in which a ledger can have been tampered with."""

    CONTENT_CHANGED = "CONTENT_CHANGED"
    ROWS_REMOVED = "ROWS_REMOVED"
    ROWS_INSERTED = "ROWS_INSERTED"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    UNBALANCED = "UNBALANCED"
    UNSEALED = "UNSEALED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the ledger is not what was sealed."""

    kind: FindingKind
    message: str
    block_number: int = 0
    epoch: int = 0
    transaction_id: str = ""


class Findings:
    """The first of each kind, and how many more there are."""

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self._seen: Counter[FindingKind] = Counter()
        self._unlisted = 0

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._seen[finding.kind] += 1
            if self._seen[finding.kind] <= LISTED_PER_KIND:
                self._listed.append(finding)
            else:
                self._unlisted += 1

    def add_unlisted(self, count: int) -> None:
        """Count findings that were never written out."""
        self._unlisted += count

    @property
    def listed(self) -> tuple[Finding, ...]:
        return tuple(self._listed)

    @property
    def unlisted(self) -> int:
        return self._unlisted


def examine(block: Block, previous: Block | None, found: Contents) -> Iterator[Finding]:
    """What is wrong with a block, given the one before it and what its range holds now."""
    for message in _breaks(block, previous):
        yield Finding(FindingKind.CHAIN_BROKEN, message, block.number, block.range.epoch)
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


def _breaks(block: Block, previous: Block | None) -> Iterator[str]:
    if block.hash != block.computed_hash:
        yield "the block itself was changed: its fields do not give its hash"
    if previous is None:
        yield from _breaks_of_first(block)
        return
    if block.number != previous.number + 1:
        yield f"block {previous.number + 1} is missing"
    if block.previous_hash != previous.hash:
        yield "the block before it is not the one it was chained to"
    if block.range.from_xid != _follows_on(block, previous):
        yield "its range does not follow on the block before"


def _breaks_of_first(block: Block) -> Iterator[str]:
    if block.number != 1:
        yield f"block {block.number - 1}, to which it was chained, is missing"
        return
    if block.previous_hash != GENESIS:
        yield "the first block names a block before it"
    if block.range.from_xid != 0:
        yield "the first block leaves out what was written before it"


def _follows_on(block: Block, previous: Block) -> int:
    # Another server counts from its own first transaction on, so an epoch is covered from zero.
    return previous.range.below_xid if block.range.epoch == previous.range.epoch else 0


def vanished(block: Block) -> Finding:
    """A block that this process knew stands no longer as it did."""
    message = f"a block of hash {block.hash.hex()} stood here and is gone"
    return Finding(FindingKind.CHAIN_BROKEN, message, block.number, block.range.epoch)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification has come."""

    blocks_checked: int
    blocks_total: int
    transactions_checked: int
    entries_checked: int


def strays(checked: Progress, lying_before: int) -> Iterator[Finding]:
    """Transactions that lie where all is sealed, and yet in no block."""
    count = lying_before - checked.transactions_checked
    if count > 0:
        yield Finding(FindingKind.ROWS_INSERTED, f"{count} transactions lie between the blocks")


@dataclass(frozen=True, slots=True)
class Unsealed:
    """The transactions after the last block, and those of them that should be in one by now."""

    count: int
    overdue_count: int
    oldest_at: datetime | None


def overdue(unsealed: Unsealed) -> Iterator[Finding]:
    """Transactions too old to be in no block yet."""
    if unsealed.overdue_count and unsealed.oldest_at is not None:
        message = (
            f"{unsealed.overdue_count} transactions, the oldest written"
            f" {unsealed.oldest_at:%Y-%m-%d %H:%M:%S} UTC, are in no block: no sealer has run"
            " since, or a database transaction has been open since, or their blocks were deleted"
        )
        yield Finding(FindingKind.UNSEALED, message)


@dataclass(frozen=True, slots=True)
class Wholeness:
    """Whether every transaction balances: sums of everything, and the first that do not."""

    sums_minor: Mapping[str, int]
    broken: Sequence[Finding]
    broken_count: int


def nonzero_sums(sums_minor: Mapping[str, int]) -> Iterator[Finding]:
    """Currencies in which the ledger as a whole does not balance."""
    for currency, total_minor in sorted(sums_minor.items()):
        if total_minor != 0:
            message = f"all entries in {currency} sum to {total_minor} minor units, and not to zero"
            yield Finding(FindingKind.UNBALANCED, message)


class State(StrEnum):
    """A verdict in a word."""

    INTACT = "INTACT"
    UNSEALED = "UNSEALED"
    TAMPERED = "TAMPERED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a verification ended."""

    findings: tuple[Finding, ...]
    findings_unlisted: int
    checked: Progress
    sums_minor: Mapping[str, int]
    transactions_unsealed: int
    sealed_through: datetime | None

    @property
    def state(self) -> State:
        kinds = {finding.kind for finding in self.findings}
        if kinds - {FindingKind.UNSEALED}:
            return State.TAMPERED
        return State.UNSEALED if kinds else State.INTACT
