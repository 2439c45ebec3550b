"""The use cases of the ledger, and the ports they need."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from services.kernel.errors import FieldViolation, InvalidArgument, NotFound, SwitchyardError
from services.kernel.ids import LedgerTransactionId
from services.kernel.money import Currency
from services.ledger.domain.seal import Block, Contents
from services.ledger.domain.statement import (
    Balance,
    StatementCursor,
    StatementFilter,
    StatementPage,
    TransactionCursor,
    TransactionFilter,
    TransactionPage,
)
from services.ledger.domain.transaction import (
    Posted,
    Transaction,
    TransactionDraft,
    require_account,
)
from services.ledger.domain.verification import (
    Findings,
    Progress,
    Unsealed,
    Verdict,
    Wholeness,
    examine,
    nonzero_sums,
    overdue,
    strays,
    vanished,
)

MAX_BATCH: Final = 1_000


class Journal(Protocol):
    """Where transactions are written and read."""

    async def post(self, draft: TransactionDraft) -> Posted: ...

    async def post_each(
        self, drafts: Sequence[TransactionDraft]
    ) -> Sequence[Posted | SwitchyardError]: ...

    async def find(self, transaction_id: LedgerTransactionId) -> Transaction | None: ...

    async def list_transactions(
        self, wanted: TransactionFilter, after: TransactionCursor | None, limit: int
    ) -> TransactionPage: ...

    async def balance(
        self, account: str, currency: Currency, as_of: datetime | None
    ) -> Balance: ...

    async def statement(
        self, wanted: StatementFilter, after: StatementCursor | None, limit: int
    ) -> StatementPage: ...


class Seals(Protocol):
    """Where hash blocks are kept."""

    def blocks(self, from_number: int) -> AsyncIterator[tuple[Block, Contents]]: ...

    async def block(self, number: int) -> Block | None: ...

    async def count_blocks(self, from_number: int) -> int: ...

    async def first_number_of(self, epoch: int) -> int | None: ...

    async def count_before(self, last: Block) -> int: ...

    async def vanished(self) -> Block | None: ...

    async def unsealed(self) -> Unsealed: ...

    async def check_whole(self) -> Wholeness: ...


class Ledger:
    """Adds balanced transactions, and adds accounts up."""

    def __init__(self, journal: Journal, seals: Seals) -> None:
        self._journal = journal
        self._seals = seals

    async def post(self, draft: TransactionDraft) -> tuple[Transaction, bool]:
        """Write the draft; returns what stands under its key, and whether it stood before."""
        posted = await self._journal.post(draft)
        if posted.replayed:
            return await self.get(posted.transaction_id), True
        # What is committed is not read again: a read that fails would be told as a failed write.
        return Transaction.written(draft, posted), False

    async def post_batch(
        self, drafts: Sequence[TransactionDraft | SwitchyardError]
    ) -> Sequence[Posted | SwitchyardError]:
        """Write each draft on its own; one that could not even be made keeps its place."""
        if len(drafts) > MAX_BATCH:
            message = f"at most {MAX_BATCH} drafts a batch, {len(drafts)} came"
            raise InvalidArgument(
                message, violations=[FieldViolation("drafts", "drafts.count", message)]
            )
        sound = [draft for draft in drafts if isinstance(draft, TransactionDraft)]
        outcomes = iter(await self._journal.post_each(sound))
        return [
            next(outcomes) if isinstance(draft, TransactionDraft) else draft for draft in drafts
        ]

    async def get(self, transaction_id: LedgerTransactionId) -> Transaction:
        """One transaction."""
        found = await self._journal.find(transaction_id)
        if found is None:
            raise NotFound(f"there is no transaction {transaction_id}")
        return found

    async def list_transactions(
        self, wanted: TransactionFilter, after: TransactionCursor | None, limit: int
    ) -> TransactionPage:
        """A page of transactions in the order in which they were written."""
        return await self._journal.list_transactions(wanted, after, limit)

    async def balance(self, account: str, currency: Currency, as_of: datetime | None) -> Balance:
        """What the account holds, or held at a moment."""
        require_account(account)
        return await self._journal.balance(account, currency, as_of)

    async def statement(
        self, wanted: StatementFilter, after: StatementCursor | None, limit: int
    ) -> StatementPage:
        """The account's entries with the balance after each."""
        return await self._journal.statement(wanted, after, limit)

    async def verify(self, epoch: int, number: int) -> AsyncIterator[Progress | Verdict]:
        """Recompute every block from one on; the last report is the verdict.

        It begins with the block of that number, or else with the first one of the epoch, or of all.
        """
        findings = Findings()
        from_number = await self._beginning(epoch, number)
        previous = await self._seals.block(from_number - 1)
        progress = Progress(0, await self._seals.count_blocks(from_number), 0, 0)
        yield progress
        async for block, contents in self._seals.blocks(from_number):
            findings.add(examine(block, previous, contents))
            previous = block
            progress = replace(
                progress,
                blocks_checked=progress.blocks_checked + 1,
                transactions_checked=progress.transactions_checked + contents.transaction_count,
                entries_checked=progress.entries_checked + contents.entry_count,
            )
            yield progress
        gone = await self._seals.vanished()
        if gone is not None:
            findings.add([vanished(gone)])
        elif from_number > 1 and not progress.blocks_checked:
            raise NotFound(f"there is no block {from_number}, nor any after it")
        if from_number <= 1 and previous is not None:
            findings.add(strays(progress, await self._seals.count_before(previous)))
        yield await self._conclude(findings, progress, previous)

    async def _beginning(self, epoch: int, number: int) -> int:
        if epoch <= 0:
            return max(number, 1)
        first = await self._seals.first_number_of(epoch)
        if first is None:
            raise NotFound(f"there is no block of epoch {epoch}")
        if 0 < number < first:
            message = f"is before epoch {epoch}, whose first block is {first}"
            violation = FieldViolation("from_block_number", "block.of_epoch", message)
            raise InvalidArgument(f"block {number} {message}", violations=[violation])
        return max(number, first)

    async def _conclude(self, findings: Findings, checked: Progress, last: Block | None) -> Verdict:
        unsealed = await self._seals.unsealed()
        findings.add(overdue(unsealed))
        whole = await self._seals.check_whole()
        findings.add(whole.broken)
        findings.add_unlisted(whole.broken_count - len(whole.broken))
        findings.add(nonzero_sums(whole.sums_minor))
        return Verdict(
            findings=findings.listed,
            findings_unlisted=findings.unlisted,
            checked=checked,
            sums_minor=whole.sums_minor,
            transactions_unsealed=unsealed.count,
            sealed_through=last.sealed_at if last else None,
        )
