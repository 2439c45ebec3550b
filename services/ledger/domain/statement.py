"""What is read from the journal: which transactions, what an account holds, and how it came so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kernel.money import Currency, Money
from services.ledger.domain.transaction import Entry


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactions are wanted; None means all."""

    reference_id: str | None = None
    account: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The sum of an account's entries in one currency, up to and including a moment."""

    account: str
    amount: Money
    entry_count: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """Whose entries are wanted, from when until when."""

    account: str
    currency: Currency
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatementCursor:
    """The line that a page begins with."""

    created_at: datetime
    entry_uuid: str


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One entry of an account, with the balance after it."""

    entry: Entry
    reference_id: str
    running_balance: Money


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Some lines of a statement, and where the next page begins."""

    opening_balance: Money
    lines: Sequence[StatementLine]
    next_cursor: StatementCursor | None
