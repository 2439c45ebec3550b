"""Sealing and verifying under strain: absurd rows, slow readers, a sealer that falls silent."""

import asyncio
import time
from datetime import timedelta

import pytest
from payments.ledger.v1.integrity_pb2 import IntegrityFindingKind as Kind
from payments.ledger.v1.integrity_pb2 import IntegrityState

from services.kernel.errors import Unavailable
from services.ledger.domain.seal import Contents, Range
from services.ledger.store import seals as store
from services.runtime.database import DATABASE_ERRORS, Connection, Database
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.messages import sale
from tests.ledger.sealing import seal_all, verify

_HEADLESS = """
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select gen_random_uuid(), 1, 'THIEF', $1::bigint, $2
  from generate_series(1, $3::integer)
"""


async def test_sums_that_fit_no_amount_are_told_by_a_finding(
    ledger: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute(
        "alter table ledger.ledger_entries drop constraint if exists ledger_entries_amount_bounded"
    )
    await intruder.execute(_HEADLESS, 2**63 - 1, "USD", 2)
    await intruder.execute(_HEADLESS, 5, "EUR", 1)
    verdict = await verify(ledger)
    assert verdict.state == IntegrityState.INTEGRITY_STATE_TAMPERED
    assert [(total.currency, total.amount_minor) for total in verdict.sums] == [("EUR", 5)]
    assert [finding.message for finding in verdict.findings[-2:]] == [
        "all entries in EUR sum to 5 minor units, and not to zero",
        f"all entries in USD sum to {2 * (2**63 - 1)} minor units, and not to zero",
    ]


async def test_of_very_many_findings_a_hundred_are_listed_and_the_rest_counted(
    ledger: LedgerUnderTest, intruder: Connection
) -> None:
    for number in range(6):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    await seal_all(ledger)
    await intruder.execute("update ledger.ledger_transactions set reference_id = 'other'")
    await intruder.execute(_HEADLESS, 1, "USD", 250)
    verdict = await verify(ledger)
    kinds = [finding.kind for finding in verdict.findings]
    assert kinds.count(Kind.INTEGRITY_FINDING_KIND_UNBALANCED) == 100
    assert kinds.count(Kind.INTEGRITY_FINDING_KIND_CONTENT_CHANGED) == 2
    # Two hundred and fifty entries of no transaction, and the sum of them all.
    assert verdict.findings_unlisted == 151


async def test_a_slow_reader_of_blocks_holds_no_connection(
    ledger: LedgerUnderTest, application_url: str
) -> None:
    for number in range(12):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    await seal_all(ledger)
    narrow = await Database.connect(
        application_url, application_name="slow reader", pool_size=1, patience=timedelta(seconds=2)
    )
    numbers = []
    async for block, _ in store.Seals(narrow).blocks(1):
        async with narrow.connection() as connection:
            numbers.append(await connection.fetchval("select $1::bigint", block.number))
    await narrow.close()
    assert numbers == [1, 2, 3]


async def test_a_sealer_that_falls_silent_loses_its_turn_to_another(
    ledger: LedgerUnderTest, application_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.stub.PostTransaction(sale("to be sealed"))
    reached, cut = asyncio.Event(), asyncio.Event()
    contents = store._contents

    async def fall_silent(connection: Connection, covered: Range) -> Contents:
        if not reached.is_set():
            reached.set()
            await cut.wait()
        return await contents(connection, covered)

    monkeypatch.setattr(store, "_contents", fall_silent)
    database = await Database.connect(application_url, application_name="silent sealer")
    silent = store.Seals(database, silence=timedelta(milliseconds=300))
    sealing = asyncio.create_task(silent.seal_next())
    await reached.wait()
    assert await ledger.seals.seal_next() is None
    deadline = time.monotonic() + 60
    while not (block := await ledger.seals.seal_next()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert block.number == 1
    cut.set()
    with pytest.raises((Unavailable, *DATABASE_ERRORS)):
        await sealing
    await database.close()
    assert not (await verify(ledger)).findings
