"""Moments are the database's own, and what is read beside writers is a state that once was."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.ledger.v1.ledger_service_pb2 import GetBalanceRequest, ListEntriesRequest

from services.kernel.clock import SystemClock
from services.ledger.store.journal import Journal
from services.ledger.translate import event_payload
from services.runtime.database import Connection
from tests.ledger import drafts
from tests.ledger.conftest import LedgerUnderTest

_DATED_POST = """
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count, created_at)
    values (uuidv7(), 'pay_1', $1, sha256('body'), 2, $2) returning id
)
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency, created_at)
select header.id, leg.*, $2 from header, (values (1, 'A', 10, 'USD'), (2, 'B', -10, 'USD')) as leg
"""
_IS_BLOCKED = "select exists (select from pg_locks where not granted and locktype = 'relation')"


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def test_a_balance_without_a_moment_is_all_that_stands_as_of_the_databases_clock(
    ledger: LedgerUnderTest, owner: Connection
) -> None:
    """An entry of the next hour is what a clock that is an hour slow sees in one of now."""
    began_at = await owner.fetchval("select now()")
    await owner.execute(_DATED_POST, "k", began_at + timedelta(hours=1))
    request = GetBalanceRequest(account="A", currency="USD")
    balance = (await ledger.stub.GetBalance(request)).balance
    ended_at = await owner.fetchval("select now()")
    assert balance.amount.amount_minor == 10
    assert began_at < balance.as_of.ToDatetime(tzinfo=UTC) < ended_at


async def test_the_lines_of_a_statement_and_its_opening_are_of_one_moment(
    ledger: LedgerUnderTest, owner: Connection
) -> None:
    """Two entries, one on each side of the opening, commit between the two reads."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    request = ListEntriesRequest(account="A", currency="USD")
    request.created_from.FromDatetime(noon)
    async with owner.transaction():
        await owner.execute(_DATED_POST, "before", noon.replace(hour=11))
        await owner.execute(_DATED_POST, "after", noon.replace(hour=13))
        # The opening reads entries alone; the lines want the headers too and wait for them.
        await owner.execute("lock table ledger.ledger_transactions in access exclusive mode")
        reading = asyncio.ensure_future(ledger.stub.ListEntries(request))
        async with asyncio.timeout(30):
            while not await owner.fetchval(_IS_BLOCKED):  # noqa: ASYNC110 -- the server tells nobody
                await asyncio.sleep(0.01)
    page = await reading
    assert (page.opening_balance.amount_minor, list(page.lines)) == (0, [])
    page = await ledger.stub.ListEntries(request)
    assert page.opening_balance.amount_minor == 10
    assert [line.running_balance.amount_minor for line in page.lines] == [20]


async def test_balances_as_of_an_acknowledged_moment_are_final_and_sum_to_zero(
    ledger: LedgerUnderTest,
) -> None:
    """Writers take turns, so that nothing is written any more at a moment one was told of."""
    other = Journal(ledger.database, event_payload, SystemClock())
    moments: list[datetime] = []

    async def write(journal: Journal, name: str) -> None:
        for number in range(40):
            posted = await journal.post(drafts.sale(f"{name}:{number}", 1000 + number))
            moments.append(posted.created_at)

    writers = [
        asyncio.create_task(write(journal, f"{name}{lane}"))
        for journal, name in ((ledger.journal, "a"), (other, "b"))
        for lane in range(4)
    ]
    seen: dict[datetime, tuple[int, ...]] = {}
    while not all(writer.done() for writer in writers):
        if moments:
            moment = moments[-1]
            seen[moment] = await _balances(ledger, moment)
        await asyncio.sleep(0)
    await asyncio.gather(*writers)
    await other.close()
    assert len(seen) > 10
    assert len(set(seen.values())) == len(seen)
    for moment, balances in seen.items():
        assert sum(balances) == 0
        assert await _balances(ledger, moment) == balances


async def _balances(ledger: LedgerUnderTest, moment: datetime) -> tuple[int, ...]:
    """Three accounts, read apart, as of one moment."""
    as_of = Timestamp()
    as_of.FromDatetime(moment)
    amounts = []
    for account in ("CUSTOMER", "MERCHANT", "PLATFORM"):
        request = GetBalanceRequest(account=account, currency="USD", as_of=as_of)
        amounts.append((await ledger.stub.GetBalance(request)).balance.amount.amount_minor)
    return tuple(amounts)
