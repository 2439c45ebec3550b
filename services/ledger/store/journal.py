"""The journal: writes through group commit, reads by id, by reference, and by account."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from services.kernel.clock import Clock
from services.kernel.errors import SwitchyardError
from services.kernel.ids import LedgerEntryId, LedgerTransactionId
from services.kernel.money import Currency, Money
from services.ledger.domain.statement import (
    Balance,
    StatementCursor,
    StatementFilter,
    StatementLine,
    StatementPage,
    TransactionFilter,
)
from services.ledger.domain.transaction import (
    Entry,
    LedgerPosted,
    Posted,
    Transaction,
    TransactionDraft,
    key_reused,
)
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.group_commit import GroupCommit, Verdict
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.messaging.outbox import append
from services.runtime.queries import load_queries

_SQL: Final = load_queries("services.ledger.store")

# Any number will do, as long as every writer of this ledger takes the same.
_WRITER_LOCK: Final = 0x1ED6E4

_DAWN: Final = datetime(1, 1, 1, tzinfo=UTC)
_FIRST_UUID: Final = "00000000-0000-0000-0000-000000000000"


class EventCodec(Protocol):
    """Makes the bytes that travel; the store knows none of the contracts."""

    def __call__(self, event: LedgerPosted) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Posting:
    """A transaction on its way, with the message that tells of it.

    Both are made before the writer takes them: while it writes, everybody else waits.
    """

    id: LedgerTransactionId
    draft: TransactionDraft
    fingerprint: bytes
    entry_ids: tuple[LedgerEntryId, ...]
    message: OutgoingMessage


class JournalWriter:
    """One batch of transactions in one SERIALIZABLE database transaction."""

    def keys(self, unit: Posting) -> tuple[str, ...]:
        return (unit.draft.idempotency_key,)

    async def claim(
        self, _connection: Connection, _units: Sequence[Posting]
    ) -> Mapping[int, Verdict[Posted]]:
        """Nothing to claim beforehand: the write itself leaves out whose key is taken."""
        return {}

    async def write(
        self, connection: Connection, units: Sequence[Posting]
    ) -> Sequence[Verdict[Posted]]:
        rows = await connection.fetch(_SQL["post_transactions"], *_columns(units))
        written = {row["id"].hex: row["created_at"] for row in rows}
        lost = [unit for unit in units if unit.id.hex not in written]
        standing = await self._find_standing(connection, lost) if lost else {}
        await append(connection, [unit.message for unit in units if unit.id.hex in written])
        return [
            Posted(unit.id, written[unit.id.hex], replayed=False)
            if unit.id.hex in written
            else standing[unit.draft.idempotency_key]
            for unit in units
        ]

    async def _find_standing(
        self, connection: Connection, lost: Sequence[Posting]
    ) -> Mapping[str, Verdict[Posted]]:
        """What to tell those whose key is taken: a replay, or in what their body differs."""
        asked = {unit.draft.idempotency_key: unit for unit in lost}
        rows = await connection.fetch(_SQL["find_by_keys"], list(asked))
        answers: dict[str, Verdict[Posted]] = {}
        for row in rows:
            unit = asked[row["idempotency_key"]]
            if row["fingerprint"] == unit.fingerprint:
                answers[unit.draft.idempotency_key] = Posted(
                    LedgerTransactionId.of_hex(row["id"].hex), row["created_at"], replayed=True
                )
            else:
                (transaction,) = await _load(connection, [row["id"]])
                answers[unit.draft.idempotency_key] = key_reused(unit.draft, transaction)
        return answers


class Journal:
    """What the use cases ask of the journal."""

    def __init__(
        self, database: Database, codec: EventCodec, clock: Clock, *, batch_size: int = 2_000
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
        )
        entry_ids = tuple(LedgerEntryId.new() for _ in draft.entries)
        return Posting(transaction_id, draft, draft.fingerprint, entry_ids, message)

    async def find(self, transaction_id: LedgerTransactionId) -> Transaction | None:
        async with self._database.connection() as connection:
            found = await _load(connection, [transaction_id.hex])
        return found[0] if found else None

    async def list_transactions(
        self, wanted: TransactionFilter, after: LedgerTransactionId | None, limit: int
    ) -> Sequence[Transaction]:
        """Transactions in the order of their making, from after one of them."""
        about = [] if wanted.reference_id is None else [wanted.reference_id]
        statement = _SQL["list_ids_about" if about else "list_ids"]
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                statement,
                wanted.account,
                wanted.created_from,
                wanted.created_before,
                None if after is None else after.hex,
                limit,
                *about,
            )
            return await _load(connection, [row["id"] for row in rows])

    async def balance(self, account: str, currency: Currency, as_of: datetime) -> Balance:
        """Add the account up."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["sum_account"], account, currency.code, as_of)
        assert row is not None
        return Balance(account, Money(int(row["total"]), currency), row["entry_count"], as_of)

    async def statement(
        self, wanted: StatementFilter, cursor: StatementCursor | None, limit: int
    ) -> StatementPage:
        """A page of an account's entries with the balance after each, added up as it is read."""
        first = cursor or StatementCursor(wanted.created_from or _DAWN, _FIRST_UUID)
        account, currency = wanted.account, wanted.currency
        place = (account, currency.code, first.created_at, first.entry_uuid)
        async with self._database.connection() as connection:
            opening_minor = int(await connection.fetchval(_SQL["sum_account_before"], *place))
            rows = await connection.fetch(
                _SQL["list_statement"], *place, wanted.created_before, limit + 1
            )
        opening = Money(opening_minor, currency)
        following = rows[limit:]
        return StatementPage(
            opening,
            tuple(_statement_lines(opening, rows[:limit])),
            StatementCursor(following[0]["created_at"], str(following[0]["id"]))
            if following
            else None,
        )

    async def close(self) -> None:
        await self.writer.close()


def _statement_lines(opening: Money, rows: Iterable[Record]) -> Iterable[StatementLine]:
    balance = opening
    for row in rows:
        entry = _entry(row)
        balance += entry.amount
        yield StatementLine(entry, row["reference_id"], balance)


async def _load(connection: Connection, ids: Sequence[object]) -> Sequence[Transaction]:
    headers = await connection.fetch(_SQL["find_headers"], ids)
    entries: dict[object, list[Entry]] = defaultdict(list)
    for row in await connection.fetch(_SQL["find_entries"], ids):
        entries[row["transaction_id"]].append(_entry(row))
    return [
        Transaction(
            LedgerTransactionId.of_hex(header["id"].hex),
            header["reference_id"],
            header["idempotency_key"],
            tuple(entries[header["id"]]),
            header["created_at"],
        )
        for header in headers
    ]


def _entry(row: Record) -> Entry:
    return Entry(
        LedgerEntryId.of_hex(row["id"].hex),
        LedgerTransactionId.of_hex(row["transaction_id"].hex),
        row["account"],
        Money(row["amount"], Currency(row["currency"])),
        row["created_at"],
    )


def _columns(units: Sequence[Posting]) -> tuple[Sequence[object], ...]:
    """The batch as the arrays that `post_transactions` unnests."""
    legs = [
        (unit.id.hex, number, entry_id.hex, entry)
        for unit in units
        for number, (entry_id, entry) in enumerate(
            zip(unit.entry_ids, unit.draft.entries, strict=True), start=1
        )
    ]
    return (
        [unit.id.hex for unit in units],
        [unit.draft.reference_id for unit in units],
        [unit.draft.idempotency_key for unit in units],
        [unit.fingerprint for unit in units],
        [len(unit.draft.entries) for unit in units],
        [transaction_hex for transaction_hex, _, _, _ in legs],
        [number for _, number, _, _ in legs],
        [entry_hex for _, _, entry_hex, _ in legs],
        [entry.account for _, _, _, entry in legs],
        [entry.amount.amount_minor for _, _, _, entry in legs],
        [entry.amount.currency.code for _, _, _, entry in legs],
    )
