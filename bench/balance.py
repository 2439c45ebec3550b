"""What a balance costs as its account grows: the sum over the covering index, at each size.

The rows are made by the server itself, past the triggers, since only their number matters here.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
from rich.console import Console
from rich.table import Table

from bench import JSON_HELP, keep
from services.kernel.clock import SystemClock
from services.kernel.money import Currency
from services.ledger.store.journal import Journal
from services.ledger.translate import event_payload
from services.runtime.database import Connection, Database
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate

_ROUNDS: Final = 5
_CHUNK: Final = 500_000

_FILL: Final = """
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count)
    select uuidv7(), 'bench', number::text, sha256('bench'), 2
      from generate_series($1::bigint + 1, $2::bigint) as number
    returning id
)
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select id, leg, account, amount, 'USD'
  from header, (values (1, 'HOT', 1), (2, 'OTHER', -1)) as leg (leg, account, amount)
"""


@dataclass(frozen=True)
class Cost:
    """The median time of a balance over so many entries."""

    entries: int
    balance_ms: float
    microseconds_per_thousand: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench balance", description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000, help="entries on one account")
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="swy-") as folder:
        Path(folder).chmod(0o711)
        costs = asyncio.run(_measure(Path(folder), options.largest))
    keep([asdict(cost) for cost in costs], options.json)
    table = Table("entries on the account", "one balance, ms", "µs per thousand entries")
    for cost in costs:
        table.add_row(
            f"{cost.entries:,}", f"{cost.balance_ms:.2f}", f"{cost.microseconds_per_thousand:.0f}"
        )
    Console().print(table)
    return 0


async def _measure(folder: Path, largest: int) -> list[Cost]:
    server = await EmbeddedPostgres.start(folder / "home")
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        owner = await asyncpg.connect(server.owner_url)
        for table in ("ledger_transactions", "ledger_entries"):
            await owner.execute(f"alter table ledger.{table} disable trigger all")
        costs, filled, size = [], 0, 10_000
        while size <= largest:
            await _fill(owner, filled, size)
            costs.append(await _cost(server.application_url, size))
            filled, size = size, size * 10
        await owner.close()
        return costs
    finally:
        await server.stop()


async def _fill(owner: Connection, filled: int, size: int) -> None:
    for start in range(filled, size, _CHUNK):
        await owner.execute(_FILL, start, min(start + _CHUNK, size), timeout=600)
    await owner.execute("vacuum analyze ledger.ledger_entries", timeout=600)


async def _cost(url: str, size: int) -> Cost:
    database = await Database.connect(url, application_name="bench")
    journal = Journal(database, event_payload, SystemClock())
    times_ms = []
    for _ in range(_ROUNDS):
        started_at = time.perf_counter()
        balance = await journal.balance("HOT", Currency("USD"), datetime.now(UTC))
        times_ms.append((time.perf_counter() - started_at) * 1000)
        assert balance.entry_count == size
    await journal.close()
    await database.close()
    median_ms = statistics.median(times_ms)
    return Cost(size, median_ms, median_ms * 1000 / (size / 1000))
