"""The measurement of payments compares like with like: its script writes what a payment writes."""

import asyncio
from pathlib import Path
from typing import Final

from bench.payments.arrangements import paying_in_process
from bench.payments.rows import RowSizes, drained, run_pgbench
from services.runtime.database import Database

_PAYMENTS: Final = 10
_TABLES: Final = (
    "payments.payments",
    "payments.idempotency",
    "payments.quotas",
    "payments.transitions",
    "payments.plans",
    "payments.steps",
    "payments.attempts",
    "payments.postings",
    "ledger.ledger_transactions",
    "ledger.ledger_entries",
    "messaging.outbox",
)


async def test_script_writes_row_for_row_what_a_payment_writes(
    short_tmp_path: Path, application_url: str
) -> None:
    database = await Database.connect(application_url, application_name="test")
    async with paying_in_process(short_tmp_path, application_url) as pay:
        await asyncio.gather(*(pay() for _ in range(_PAYMENTS)))
        await drained(database)
    real = await _counts(database)
    sizes = await RowSizes.measured(database)
    await run_pgbench(application_url, sizes, clients=1, seconds=1)
    both = await _counts(database)
    imitated = both["payments.payments"] - _PAYMENTS
    assert imitated > 0
    assert real["payments.payments"] == _PAYMENTS
    for table in _TABLES:
        assert (both[table] - real[table]) * _PAYMENTS == real[table] * imitated, table
    await database.close()


async def _counts(database: Database) -> dict[str, int]:
    async with database.connection() as connection:
        return {
            table: await connection.fetchval(f"select count(*) from {table}") for table in _TABLES
        }
