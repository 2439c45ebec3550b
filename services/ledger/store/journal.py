"""The journal: writes through group commit, reads by id, by reference, and by account."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from services.kernel.clock import Clock
from services.kernel.errors import SwitchyardError
from services.kernel.ids import LedgerEntryId, LedgerTransactionId
from services.kernel.money import Currency
from services.ledger.domain.statement import (
    Balance,
    StatementCursor,
    StatementFilter,
    StatementLine,
    StatementPage,
    TransactionCursor,
    TransactionFilter,
    TransactionPage,
    sum_as_money,
)
from services.ledger.domain.transaction import (
    LedgerPosted,
    Posted,
    Transaction,
    TransactionDraft,
)
from services.ledger.store.rows import by_transaction, entry_of, find, transaction_of
from services.ledger.store.writer import JournalWriter, Posting
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.group_commit import GroupCommit
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.messaging.outbox import trace_headers
from services.runtime.queries import load_queries

_SQL: Final = load_queries("services.ledger.store")

# Any number will do, as long as every writer of this ledger takes the same.
_WRITER_LOCK: Final = 0x1ED6E4

# A transaction may have thousands of legs: a batch is bounded by what it makes PostgreSQL write.
_BATCH_LEGS: Final = 50_000

_DAWN: Final = datetime(1, 1, 1, tzinfo=UTC)
_BEFORE_ALL: Final = UUID(int=0)
_FIRST: Final = TransactionCursor(0, 0, _BEFORE_ALL)


class EventCodec(Protocol):
    """Makes the bytes that travel; the store knows none of the contracts."""

    def __call__(self, event: LedgerPosted) -> bytes: ...


class Journal:
    """What the use cases ask of the journal."""

    def __init__(
        self,
        database: Database,
        codec: EventCodec,
        clock: Clock,
        *,
        batch_size: int = 2_000,
        batch_legs: int = _BATCH_LEGS,
    ) -> None:
        self._database = database
        self._codec = codec
        self._clock = clock
        self.writer = GroupCommit(
            database,
            JournalWriter(),
            name="ledger writer",
            isolation=Isolation.SERIALIZABLE,
            advisory_lock=_WRITER_LOCK,
            batch_size=batch_size,
            batch_weight=batch_legs,
            weigh=_count_legs,
        )

    async def post(self, draft: TransactionDraft) -> Posted:
        """Write the draft, or return what its key wrote before."""
        return await self.writer.submit(self.posting(draft))

    async def post_each(
        self, drafts: Sequence[TransactionDraft]
    ) -> Sequence[Posted | SwitchyardError]:
        """Write each draft on its own; what is refused takes its place."""
        return await self.writer.submit_each(self.posting(draft) for draft in drafts)

    def posting(self, draft: TransactionDraft) -> Posting:
        """What the writer is given for a draft."""
        transaction_id = LedgerTransactionId.new()
        event = LedgerPosted(
            occurred_at=self._clock.now(),
            transaction_id=transaction_id,
            reference_id=draft.reference_id,
            idempotency_key=draft.idempotency_key,
            entry_count=len(draft.entries),
        )
        # A transaction never changes: it is the whole life of its aggregate, and its only message.
        message = OutgoingMessage(
            id=event.event_id,
            topic=Topic.EVENTS,
            key=transaction_id,
            sequence=1,
            type=type(event).__name__,
            payload=self._codec(event),
            occurred_at=event.occurred_at,
            headers=trace_headers(),
        )
        entry_ids = tuple(LedgerEntryId.new() for _ in draft.entries)
        return Posting.of(transaction_id, draft, entry_ids, message)

    async def find(self, transaction_id: LedgerTransactionId) -> Transaction | None:
        async with self._database.connection() as connection:
            found = await find(connection, [transaction_id.hex])
        return found[0] if found else None

    async def list_transactions(
        self, wanted: TransactionFilter, after: TransactionCursor | None, limit: int
    ) -> TransactionPage:
        """A page of transactions in the order of their writing, from after one of them."""
        about = [] if wanted.reference_id is None else [wanted.reference_id]
        place = after or _FIRST
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _SQL["list_transactions_about" if about else "list_transactions"],
                place.epoch,
                str(place.written_in),
                place.transaction_uuid,
                wanted.account,
                wanted.created_from,
                wanted.created_before,
                limit + 1,
                *about,
            )
        groups = by_transaction(rows)
        page = groups[:limit]
        return TransactionPage(
            [transaction_of(group) for group in page],
            _cursor(page[-1][0]) if len(groups) > limit else None,
        )

    async def balance(self, account: str, currency: Currency, as_of: datetime | None) -> Balance:
        """Add the account up, up to a moment or all that stands."""
        place = (account, currency.code)
        async with self._database.connection() as connection:
            row = await (
                connection.fetchrow(_SQL["sum_account"], *place)
                if as_of is None
                else connection.fetchrow(_SQL["sum_account_as_of"], *place, as_of)
            )
        assert row is not None
        amount = sum_as_money(account, int(row["total"]), currency)
        return Balance(account, amount, row["entry_count"], row["as_of"])

    async def statement(
        self, wanted: StatementFilter, after: StatementCursor | None, limit: int
    ) -> StatementPage:
        """A page of an account's entries with the balance after each, added up as it is read."""
        first = after or StatementCursor(wanted.created_from or _DAWN, _BEFORE_ALL)
        place = (wanted.account, wanted.currency.code, first.created_at, first.entry_uuid)

        async def work(connection: Connection) -> tuple[int, Sequence[Record]]:
            opening_minor = int(await connection.fetchval(_SQL["sum_account_through"], *place))
            return opening_minor, await connection.fetch(
                _SQL["list_statement"], *place, wanted.created_before, limit + 1
            )

        # One snapshot: an entry written between the two reads would be in neither or in both.
        opening_minor, rows = await self._database.transaction(
            work, isolation=Isolation.REPEATABLE_READ
        )
        page = rows[:limit]
        return StatementPage(
            sum_as_money(wanted.account, opening_minor, wanted.currency),
            tuple(_statement_lines(wanted, opening_minor, page)),
            StatementCursor(page[-1]["created_at"], page[-1]["id"]) if len(rows) > limit else None,
        )

    async def close(self) -> None:
        await self.writer.close()


def _cursor(row: Record) -> TransactionCursor:
    return TransactionCursor(row["epoch"], int(row["written_in"]), row["transaction_id"])


def _statement_lines(
    wanted: StatementFilter, opening_minor: int, rows: Iterable[Record]
) -> Iterable[StatementLine]:
    running_minor = opening_minor
    for row in rows:
        entry = entry_of(row)
        running_minor += entry.amount.amount_minor
        held = sum_as_money(wanted.account, running_minor, wanted.currency)
        yield StatementLine(entry, row["reference_id"], held)


def _count_legs(unit: Posting) -> int:
    return len(unit.entry_ids)
