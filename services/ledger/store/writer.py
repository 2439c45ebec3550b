"""What the journal's writer is given, and how it writes a batch of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Self

from services.kernel.ids import LedgerEntryId, LedgerTransactionId
from services.ledger.domain.transaction import Posted, TransactionDraft, key_reused
from services.ledger.store.rows import find
from services.runtime.database import Connection
from services.runtime.group_commit import Verdict
from services.runtime.messaging.message import OutgoingMessage
from services.runtime.messaging.outbox import append
from services.runtime.queries import load_queries

_SQL: Final = load_queries("services.ledger.store")


@dataclass(frozen=True, slots=True)
class Posting:
    """A transaction on its way, with the message that tells of it.

    All of it is made once, before the writer takes it: while it writes, everybody else waits.
    `header` is the transaction's row, `legs` the columns of its legs, as `post_transactions` takes
    them.
    """

    id: LedgerTransactionId
    draft: TransactionDraft
    fingerprint: bytes
    entry_ids: tuple[LedgerEntryId, ...]
    header: tuple[object, ...]
    legs: tuple[Sequence[object], ...]
    message: OutgoingMessage

    @classmethod
    def of(
        cls,
        transaction_id: LedgerTransactionId,
        draft: TransactionDraft,
        entry_ids: tuple[LedgerEntryId, ...],
        message: OutgoingMessage,
    ) -> Self:
        """A draft under the ids it will stand by."""
        entries = draft.entries
        count = len(entries)
        transaction_hex = transaction_id.hex
        fingerprint = draft.fingerprint
        legs = (
            [transaction_hex] * count,
            range(1, count + 1),
            [entry_id.hex for entry_id in entry_ids],
            [entry.account for entry in entries],
            [entry.amount.amount_minor for entry in entries],
            [entry.amount.currency.code for entry in entries],
        )
        header = (transaction_hex, draft.reference_id, draft.idempotency_key, fingerprint, count)
        return cls(transaction_id, draft, fingerprint, entry_ids, header, legs, message)


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
            Posted(unit.id, written[unit.id.hex], replayed=False, entry_ids=unit.entry_ids)
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
        others: list[object] = []
        for row in rows:
            key = row["idempotency_key"]
            if row["fingerprint"] == asked[key].fingerprint:
                transaction_id = LedgerTransactionId.of_hex(row["id"].hex)
                answers[key] = Posted(transaction_id, row["created_at"], replayed=True)
            else:
                others.append(row["id"])
        for standing in await find(connection, others) if others else ():
            key = standing.idempotency_key
            answers[key] = key_reused(asked[key].draft, standing)
        return answers


def _columns(units: Sequence[Posting]) -> tuple[Sequence[object], ...]:
    """The batch as the arrays that `post_transactions` unnests."""
    headers = zip(*(unit.header for unit in units), strict=True)
    legs = zip(*(unit.legs for unit in units), strict=True)
    return (*headers, *(list(chain.from_iterable(column)) for column in legs))
