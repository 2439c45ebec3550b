"""The postings that docs/ledger.md shows are posted as they stand there, and add up."""

import re
from pathlib import Path

from payments.core.v1.money_pb2 import Money as MoneyMessage
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, PostTransactionRequest
from payments.ledger.v1.transaction_pb2 import EntryDraft

from services.kernel.money import Currency, Money
from tests.ledger.conftest import LedgerUnderTest

_DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"
_BLOCK = re.compile(r"^```posting (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_LEFT_OVER = {
    ("processor:stripe:clearing", "USD"): 0,
    ("merchant:mer_1:payable", "USD"): 0,
    ("merchant:mer_1:payable", "EUR"): 4608,
    ("merchant:mer_1:disputed", "USD"): 0,
    ("platform:fees", "USD"): 240,
    ("platform:processor_fees", "USD"): -262,
    ("platform:unclaimed", "USD"): 0,
    ("platform:exchange", "USD"): 5000,
    ("platform:exchange", "EUR"): -4608,
    ("bank:settlement", "USD"): -4978,
}


def _postings() -> list[PostTransactionRequest]:
    return [
        PostTransactionRequest(
            idempotency_key=key,
            reference_id="docs",
            entries=[_entry(*line.split()) for line in body.splitlines()],
        )
        for key, body in _BLOCK.findall(_DOCS.read_text())
    ]


def _entry(account: str, amount: str, currency: str) -> EntryDraft:
    money = Money.parse(amount, Currency(currency))
    return EntryDraft(
        account=account, amount=MoneyMessage(amount_minor=money.amount_minor, currency=currency)
    )


async def test_every_posting_of_the_chart_is_accepted_and_adds_up(ledger: LedgerUnderTest) -> None:
    postings = _postings()
    assert len(postings) == 14
    for posting in postings:
        assert not (await ledger.stub.PostTransaction(posting)).replayed
    used = {(e.account, e.amount.currency) for p in postings for e in p.entries}
    assert used == set(_LEFT_OVER)
    for (account, currency), expected in _LEFT_OVER.items():
        request = GetBalanceRequest(account=account, currency=currency)
        balance = (await ledger.stub.GetBalance(request)).balance
        assert balance.amount.amount_minor == expected, account


def test_the_parts_of_the_documented_refund_sum_to_the_fee() -> None:
    usd = Currency("USD")
    fee, whole = Money(300, usd), Money(10_000, usd)
    first, second = Money(3_333, usd), Money(6_667, usd)
    parts = [
        fee.next_share(first, already=Money(0, usd), whole=whole),
        fee.next_share(second, already=first, whole=whole),
    ]
    assert parts == [Money(100, usd), Money(200, usd)]
