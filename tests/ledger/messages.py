"""Short ways to write down what callers of the ledger send."""

from payments.core.v1.money_pb2 import Money
from payments.ledger.v1.ledger_service_pb2 import PostTransactionRequest
from payments.ledger.v1.transaction_pb2 import EntryDraft, TransactionDraft


def entry(account: str, amount_minor: int, currency: str = "USD") -> EntryDraft:
    return EntryDraft(account=account, amount=Money(amount_minor=amount_minor, currency=currency))


def sale_entries(amount_minor: int = 1000, fee_minor: int = 30) -> list[EntryDraft]:
    """The classic three legs: a customer pays, the merchant gets it less the platform's fee."""
    return [
        entry("CUSTOMER", -amount_minor),
        entry("MERCHANT", amount_minor - fee_minor),
        entry("PLATFORM", fee_minor),
    ]


def sale(key: str, amount_minor: int = 1000, reference_id: str = "pay_1") -> PostTransactionRequest:
    return PostTransactionRequest(
        idempotency_key=key, reference_id=reference_id, entries=sale_entries(amount_minor)
    )


def sale_draft(key: str, amount_minor: int = 1000, reference_id: str = "pay_1") -> TransactionDraft:
    return TransactionDraft(
        idempotency_key=key, reference_id=reference_id, entries=sale_entries(amount_minor)
    )
