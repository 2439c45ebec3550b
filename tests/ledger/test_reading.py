"""Balances are sums, statements run, lists page: always what was posted, never a stored figure."""

from datetime import UTC, timedelta

import pytest
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    ListEntriesRequest,
    ListTransactionsRequest,
    PostTransactionRequest,
)

from services.kernel.errors import FailedPrecondition, InvalidArgument, Reason
from services.ledger.domain.transaction import MAX_ENTRIES, MAX_LEG_MINOR
from services.runtime.rpc import typed_errors
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.messages import entry, sale


async def _balance(ledger: LedgerUnderTest, account: str, **fields: object) -> tuple[int, int]:
    request = GetBalanceRequest(account=account, currency="USD", **fields)  # type: ignore[arg-type]
    balance = (await ledger.stub.GetBalance(request)).balance
    return balance.amount.amount_minor, balance.entry_count


async def test_a_balance_sums_the_entries_of_one_currency(ledger: LedgerUnderTest) -> None:
    await ledger.stub.PostTransaction(sale("k1", 1000))
    await ledger.stub.PostTransaction(sale("k2", 500))
    euros = [entry("MERCHANT", 7, "EUR"), entry("CUSTOMER", -7, "EUR")]
    await ledger.stub.PostTransaction(
        PostTransactionRequest(idempotency_key="k3", reference_id="r", entries=euros)
    )
    assert await _balance(ledger, "MERCHANT") == (1440, 2)
    assert await _balance(ledger, "PLATFORM") == (60, 2)
    assert await _balance(ledger, "nobody") == (0, 0)


async def test_a_balance_can_be_asked_for_as_of_a_moment(ledger: LedgerUnderTest) -> None:
    first = (await ledger.stub.PostTransaction(sale("k1", 1000))).transaction
    second = (await ledger.stub.PostTransaction(sale("k2", 500))).transaction
    before = first.created_at.ToDatetime(tzinfo=UTC) - timedelta(microseconds=1)
    assert await _balance(ledger, "MERCHANT", as_of=before) == (0, 0)
    assert await _balance(ledger, "MERCHANT", as_of=first.created_at) == (970, 1)
    assert await _balance(ledger, "MERCHANT", as_of=second.created_at) == (1440, 2)


async def test_a_sum_beyond_64_bits_is_told_as_one_and_what_lies_before_it_can_be_read(
    ledger: LedgerUnderTest,
) -> None:
    for number, pairs in enumerate((MAX_ENTRIES // 2, 4_200)):
        await ledger.stub.PostTransaction(_enormous(f"k{number}", pairs))
    assert await _balance(ledger, "BIG") == (9_200 * MAX_LEG_MINOR, 9_200)
    # The 24th of these is beyond what an amount can hold.
    third = (await ledger.stub.PostTransaction(_enormous("k3", 30))).transaction
    with pytest.raises(FailedPrecondition) as refusal, typed_errors():
        await _balance(ledger, "BIG")
    assert refusal.value.reason is Reason.AMOUNT_OVERFLOW
    assert refusal.value.details["sum_minor"] == str(9_230 * MAX_LEG_MINOR)
    request = ListEntriesRequest(
        account="BIG", currency="USD", page_size=20, created_from=third.created_at
    )
    page = await ledger.stub.ListEntries(request)
    assert page.lines[-1].running_balance.amount_minor == 9_220 * MAX_LEG_MINOR
    request.page_token = page.next_page_token
    with pytest.raises(FailedPrecondition) as refusal, typed_errors():
        await ledger.stub.ListEntries(request)
    assert refusal.value.reason is Reason.AMOUNT_OVERFLOW


def _enormous(key: str, pairs: int) -> PostTransactionRequest:
    pair = [entry("BIG", MAX_LEG_MINOR), entry("OTHER", -MAX_LEG_MINOR)]
    return PostTransactionRequest(idempotency_key=key, reference_id="r", entries=pair * pairs)


async def test_a_statement_runs_through_its_pages(ledger: LedgerUnderTest) -> None:
    for number in range(1, 8):
        await ledger.stub.PostTransaction(sale(f"k{number}", 100 * number + 30))
    request = ListEntriesRequest(account="MERCHANT", currency="USD", page_size=3)
    running, amounts, openings = [], [], []
    while True:
        page = await ledger.stub.ListEntries(request)
        openings.append(page.opening_balance.amount_minor)
        amounts += [line.amount.amount_minor for line in page.lines]
        running += [line.running_balance.amount_minor for line in page.lines]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert amounts == [100, 200, 300, 400, 500, 600, 700]
    assert running == [100, 300, 600, 1000, 1500, 2100, 2800]
    assert openings == [0, 600, 2100]


async def test_a_statement_may_begin_and_end_at_a_moment(ledger: LedgerUnderTest) -> None:
    posted = [
        (await ledger.stub.PostTransaction(sale(f"k{number}", 130))).transaction
        for number in range(4)
    ]
    page = await ledger.stub.ListEntries(
        ListEntriesRequest(
            account="MERCHANT",
            currency="USD",
            created_from=posted[1].created_at,
            created_before=posted[3].created_at,
        )
    )
    assert page.opening_balance.amount_minor == 100
    assert [line.transaction_id for line in page.lines] == [posted[1].id, posted[2].id]


@pytest.mark.parametrize(("reference_id", "account"), [("", ""), ("pay_0", ""), ("", "MERCHANT")])
async def test_transactions_page_oldest_first(
    ledger: LedgerUnderTest, reference_id: str, account: str
) -> None:
    keys = [f"k{number}" for number in range(7)]
    for number, key in enumerate(keys):
        await ledger.stub.PostTransaction(sale(key, reference_id=f"pay_{number % 2}"))
    request = ListTransactionsRequest(page_size=3, reference_id=reference_id, account=account)
    found = []
    while True:
        page = await ledger.stub.ListTransactions(request)
        assert len(page.transactions) <= 3
        found += [transaction.idempotency_key for transaction in page.transactions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == (keys[::2] if reference_id else keys)


async def test_a_moment_beyond_the_calendar_is_refused(ledger: LedgerUnderTest) -> None:
    request = GetBalanceRequest(account="a", currency="USD")
    request.as_of.seconds = 10**15
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await ledger.stub.GetBalance(request)
    assert refusal.value.violations[0].field == "as_of"


_MISSPELT = ("", "a\x00b", "merchant: x", "a::b", "a" * 256)


@pytest.mark.parametrize("account", _MISSPELT)
async def test_a_misspelt_account_is_refused_not_found_empty(
    ledger: LedgerUnderTest, account: str
) -> None:
    for call in (
        ledger.stub.GetBalance(GetBalanceRequest(account=account, currency="USD")),
        ledger.stub.ListEntries(ListEntriesRequest(account=account, currency="USD")),
        # An empty filter is none.
        ledger.stub.ListTransactions(ListTransactionsRequest(account=account or "?")),
    ):
        with pytest.raises(InvalidArgument) as refusal, typed_errors():
            await call
        assert refusal.value.reason is Reason.ACCOUNT_MALFORMED
        assert refusal.value.violations[0].field == "account"


@pytest.mark.parametrize(
    ("reference_id", "rule"),
    [("pay\x00", "reference_id.printable"), ("r" * 256, "reference_id.length")],
)
async def test_a_reference_that_cannot_exist_is_refused(
    ledger: LedgerUnderTest, reference_id: str, rule: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await ledger.stub.ListTransactions(ListTransactionsRequest(reference_id=reference_id))
    assert refusal.value.violations[0].rule == rule
