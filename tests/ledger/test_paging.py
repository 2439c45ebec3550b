"""Pages: every token leads on from where it was made, and whatever is no such token is refused."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import pytest
from payments.ledger.v1.ledger_service_pb2 import ListEntriesRequest, ListTransactionsRequest

from services.kernel.clock import SystemClock
from services.kernel.errors import InvalidArgument, Reason
from services.ledger.store.journal import Journal
from services.ledger.translate import event_payload
from services.runtime.rpc import typed_errors
from tests.ledger import drafts
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.messages import sale

_ANY_UUID = "0" * 32
_MOMENT = "2026-01-01T00:00:00+00:00"


async def test_a_page_token_of_another_list_is_refused(ledger: LedgerUnderTest) -> None:
    for number in range(3):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    page = await ledger.stub.ListTransactions(ListTransactionsRequest(page_size=1))
    for token in (page.next_page_token, "rubbish", "!", "W10"):
        with pytest.raises(InvalidArgument) as refusal, typed_errors():
            await ledger.stub.ListTransactions(
                ListTransactionsRequest(reference_id="pay_1", page_token=token)
            )
        assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize(
    "parts",
    [
        ("x", "1", _ANY_UUID),
        ("-1", "1", _ANY_UUID),
        (str(2**31), "1", _ANY_UUID),
        ("1", "x", _ANY_UUID),
        ("1", str(2**64), _ANY_UUID),
        ("1", "1", "x"),
        ("1", "1", "\x00"),
        ("1", "1"),
    ],
)
async def test_a_forged_place_in_the_transactions_is_refused(
    ledger: LedgerUnderTest, parts: tuple[str, ...]
) -> None:
    for number in range(2):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    request = ListTransactionsRequest(page_size=1)
    page = await ledger.stub.ListTransactions(request)
    request.page_token = _forged(page.next_page_token, parts)
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await ledger.stub.ListTransactions(request)
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize(
    "parts",
    [
        ("x", _ANY_UUID),
        ("0001-01-01T00:00:00+14:00", _ANY_UUID),
        (_MOMENT, "x"),
        (_MOMENT, ""),
        (_MOMENT,),
    ],
)
async def test_a_forged_place_in_a_statement_is_refused(
    ledger: LedgerUnderTest, parts: tuple[str, ...]
) -> None:
    for number in range(2):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    request = ListEntriesRequest(account="MERCHANT", currency="USD", page_size=1)
    page = await ledger.stub.ListEntries(request)
    request.page_token = _forged(page.next_page_token, parts)
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await ledger.stub.ListEntries(request)
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


def _forged(token: str, parts: tuple[str, ...]) -> str:
    """Another place under the same tie, which is no secret."""
    tie = json.loads(base64.urlsafe_b64decode(token + "=="))[0]
    return base64.urlsafe_b64encode(json.dumps([tie, *parts]).encode()).decode()


@pytest.mark.parametrize("reference_id", ["", "pay_1"])
async def test_a_transaction_written_late_under_an_early_id_is_not_skipped(
    ledger: LedgerUnderTest, reference_id: str
) -> None:
    late = ledger.journal.posting(drafts.sale("late"))
    for key in ("a", "b", "c"):
        await ledger.stub.PostTransaction(sale(key))
    request = ListTransactionsRequest(page_size=2, reference_id=reference_id)
    first = await ledger.stub.ListTransactions(request)
    await ledger.journal.writer.submit(late)
    request.page_token = first.next_page_token
    second = await ledger.stub.ListTransactions(request)
    listed = [found.idempotency_key for found in (*first.transactions, *second.transactions)]
    assert listed == ["a", "b", "c", "late"]


async def test_a_walk_through_the_pages_beside_two_writers_shows_each_transaction_once(
    ledger: LedgerUnderTest,
) -> None:
    """All that stood when the last page was asked for, however ids and commits interleave."""
    other = Journal(ledger.database, event_payload, SystemClock())
    acknowledged: list[str] = []

    async def write(journal: Journal, name: str) -> None:
        # Ids are made all at once and written one by one, the newest first.
        waiting = [journal.posting(drafts.sale(f"{name}:{number}")) for number in range(60)]
        for posting in reversed(waiting):
            await journal.writer.submit(posting)
            acknowledged.append(posting.draft.idempotency_key)

    writers = [
        asyncio.create_task(write(journal, name))
        for journal, name in ((ledger.journal, "a"), (other, "b"))
    ]
    expected: set[str] = set()
    walks = 0
    while len(expected) < 120:
        listed: list[str] = []
        async for keys in _pages(ledger, acknowledged, expected):
            listed += keys
        assert len(listed) == len(set(listed))
        assert expected <= set(listed)
        walks += 1
    await asyncio.gather(*writers)
    await other.close()
    assert walks > 1


async def _pages(
    ledger: LedgerUnderTest, acknowledged: list[str], expected: set[str]
) -> AsyncIterator[list[str]]:
    """The keys of each page; `expected` is what was acknowledged before the last was asked for."""
    request = ListTransactionsRequest(page_size=7)
    while True:
        expected.update(acknowledged)
        page = await ledger.stub.ListTransactions(request)
        yield [transaction.idempotency_key for transaction in page.transactions]
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
