"""Rows of the journal as the domain's own words."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from services.kernel.ids import LedgerEntryId, LedgerTransactionId
from services.kernel.money import Currency, Money
from services.ledger.domain.transaction import Entry, Transaction
from services.runtime.database import Connection, Record
from services.runtime.queries import load_queries

_SQL: Final = load_queries("services.ledger.store")


async def find(connection: Connection, ids: Sequence[object]) -> Sequence[Transaction]:
    """Transactions by id, whole, in the order of their ids."""
    rows = await connection.fetch(_SQL["find_transactions"], ids)
    return [transaction_of(group) for group in by_transaction(rows)]


def by_transaction(rows: Iterable[Record]) -> Sequence[Sequence[Record]]:
    """Rows of one leg each, in the order of transactions, as those of each transaction."""
    return [list(group) for _, group in groupby(rows, itemgetter("transaction_id"))]


def transaction_of(rows: Sequence[Record]) -> Transaction:
    """A transaction from the rows of its legs, each of which says what its header says."""
    header = rows[0]
    return Transaction(
        LedgerTransactionId.of_hex(header["transaction_id"].hex),
        header["reference_id"],
        header["idempotency_key"],
        tuple(entry_of(row) for row in rows),
        header["created_at"],
    )


def entry_of(row: Record) -> Entry:
    """One leg."""
    return Entry(
        LedgerEntryId.of_hex(row["id"].hex),
        LedgerTransactionId.of_hex(row["transaction_id"].hex),
        row["account"],
        Money(row["amount"], Currency(row["currency"])),
        row["created_at"],
    )
