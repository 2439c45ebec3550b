"""What is read from the journal: which transactions, what an account holds, and how it came so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kernel.errors import FailedPrecondition, Reason
from services.kernel.money import MAX_AMOUNT_MINOR, MIN_AMOUNT_MINOR, Currency, Money
from services.ledger.domain.transaction import (
    Entry,
    Transaction,
    require_account,
    require_reference,
)


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactions are wanted; None means all."""

    reference_id: str | None = None
    account: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    def __post_init__(self) -> None:
        if self.account is not None:
            require_account(self.account)
        if self.reference_id is not None:
            require_reference(self.reference_id)


@dataclass(frozen=True, slots=True)
class TransactionCursor:
    """The transaction after which a page begins, by its place in the order of writing.

    That order is the one in which database transactions wrote, not the one in which ids were made:
    an id may be made long before its transaction is written, and a reader who goes on after an id
    would never see what was written late.
    """

    epoch: int
    written_in: int
    transaction_uuid: UUID


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Some transactions, and the place after which the next page begins."""

    transactions: Sequence[Transaction]
    next_cursor: TransactionCursor | None


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

    def __post_init__(self) -> None:
        require_account(self.account)


@dataclass(frozen=True, slots=True)
class StatementCursor:
    """The line after which a page begins."""

    created_at: datetime
    entry_uuid: UUID


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


def sum_as_money(account: str, sum_minor: int, currency: Currency) -> Money:
    """What an account sums to, unless that is more than an amount can hold; then it is told."""
    if not MIN_AMOUNT_MINOR <= sum_minor <= MAX_AMOUNT_MINOR:
        raise FailedPrecondition(
            f"the entries of {account} sum to {sum_minor} minor units of {currency}, which is"
            " beyond 64 bits",
            reason=Reason.AMOUNT_OVERFLOW,
            details={"account": account, "currency": currency.code, "sum_minor": str(sum_minor)},
        )
    return Money(sum_minor, currency)
