"""Short ways to write down transactions in tests."""

from services.kernel.money import Currency, Money
from services.ledger.domain.transaction import EntryDraft, TransactionDraft


def entry(account: str, amount_minor: int, currency: str = "USD") -> EntryDraft:
    return EntryDraft(account, Money(amount_minor, Currency(currency)))


def draft(key: str, *entries: EntryDraft, reference_id: str = "pay_1") -> TransactionDraft:
    return TransactionDraft(key, reference_id, entries)


def sale(key: str, amount_minor: int = 1000, fee_minor: int = 30) -> TransactionDraft:
    """The classic three legs: a customer pays, the merchant gets it less the platform's fee."""
    return draft(
        key,
        entry("CUSTOMER", -amount_minor),
        entry("MERCHANT", amount_minor - fee_minor),
        entry("PLATFORM", fee_minor),
    )
