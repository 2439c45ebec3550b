"""The ledger as operators and merchants read it over HTTP."""

from collections.abc import Iterable

from payments.ledger.v1.transaction_pb2 import Entry as EntryMessage
from payments.ledger.v1.transaction_pb2 import Transaction as TransactionMessage
from typing_extensions import TypedDict

from gateway.shapes.words import moment


class LedgerEntry(TypedDict):
    """One leg: what the account gains, or loses when negative."""

    account: str
    amount: int
    currency: str


class LedgerLines(TypedDict):
    """One transaction about a payment."""

    transaction_id: str
    reference_id: str
    entries: list[LedgerEntry]


class LedgerTransaction(TypedDict):
    """One transaction, as operators post and read it."""

    id: str
    referenceId: str
    idempotencyKey: str
    replayed: bool
    createdAt: str
    entries: list[LedgerEntry]


def lines_shape(message: TransactionMessage) -> LedgerLines:
    return {
        "transaction_id": message.id,
        "reference_id": message.reference_id,
        "entries": _entries(message.entries),
    }


def transaction_shape(message: TransactionMessage, *, replayed: bool) -> LedgerTransaction:
    return {
        "id": message.id,
        "referenceId": message.reference_id,
        "idempotencyKey": message.idempotency_key,
        "replayed": replayed,
        "createdAt": moment(message.created_at),
        "entries": _entries(message.entries),
    }


def _entries(entries: Iterable[EntryMessage]) -> list[LedgerEntry]:
    return [
        {
            "account": entry.account,
            "amount": entry.amount.amount_minor,
            "currency": entry.amount.currency,
        }
        for entry in entries
    ]
