"""Ledger throughput: group commit over gRPC and in process, against one transaction a call.

All of it in one run on one PostgreSQL, fsync on, SERIALIZABLE, three-leg transactions with their
event in the outbox. The server of the gRPC figures is a process of its own; the load comes from
this one, beside it on the same cores.
"""

import argparse
import asyncio
import re
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import uvloop
from payments.core.v1.money_pb2 import Money as MoneyMessage
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.ledger.v1.transaction_pb2 import EntryDraft as EntryMessage
from payments.ledger.v1.transaction_pb2 import TransactionDraft as DraftMessage
from rich.console import Console
from rich.table import Table

from bench import JSON_HELP, keep
from bench.payments.serving import serving
from services.kernel.clock import SystemClock
from services.kernel.money import Currency, Money
from services.ledger.domain.transaction import EntryDraft, TransactionDraft
from services.ledger.store.journal import Journal
from services.ledger.store.writer import JournalWriter
from services.ledger.translate import event_payload
from services.runtime.database import Connection, Database, Isolation, is_retryable
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.embedded_postgres.binaries import find_binaries
from services.runtime.garbage import calm_garbage_collection
from services.runtime.migrate import migrate
from services.runtime.rpc import connect
from services.runtime.run_file import RunFile

_LEGS = (("CUSTOMER", -1000), ("MERCHANT", 970), ("PLATFORM", 30))
_BASELINE = "pgbench, 32 connections"
_TARGET = "gRPC, 100 a call"

_PGBENCH_SCRIPT = """
begin isolation level serializable;
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count)
    values (uuidv7(), 'pay_bench', gen_random_uuid()::text, sha256('bench'), 3)
    returning id
), legs as (
    insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
    select id, leg, account, amount, 'USD'
      from header, (values (1, 'CUSTOMER', -1000), (2, 'MERCHANT', 970), (3, 'PLATFORM', 30))
                   as leg (leg, account, amount)
)
insert into messaging.outbox
       (id, topic, key, partition, sequence, type, payload, headers, occurred_at)
select 'evt_' || id, 'payment.events', id::text, 0, 1, 'LedgerPosted',
       convert_to(repeat('x', 150), 'UTF8'), '{}', now()
  from header;
commit;
"""


@dataclass(frozen=True)
class Figure:
    """One way of writing, and how much of it went through."""

    name: str
    transactions_per_second: float
    rounds: tuple[float, ...]
    serialization_failures: int


class Load:
    """Keeps a number of calls in flight for some seconds and counts what they wrote."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def run(self, call: Callable[[], Awaitable[int]], *, in_flight: int) -> float:
        written = 0
        started_at = time.perf_counter()
        ends_at = started_at + self._seconds

        async def caller() -> None:
            nonlocal written
            while time.perf_counter() < ends_at:
                # Not `written += await …`, which would read the count before it waits.
                just_written = await call()
                written += just_written

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return written / (time.perf_counter() - started_at)


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench ledger", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each round takes")
    parser.add_argument("--rounds", type=int, default=3, help="the median of this many counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="swy-") as folder:
        Path(folder).chmod(0o711)
        calm_garbage_collection()
        figures = uvloop.run(_measure(Path(folder), options.seconds, options.rounds))
    by_name = {figure.name: figure.transactions_per_second for figure in figures}
    ratio = by_name[_TARGET] / by_name[_BASELINE]
    found = {"figures": [asdict(figure) for figure in figures], "ratio": round(ratio, 1)}
    keep(found, options.json)
    _print(figures, by_name[_BASELINE])
    return 0


async def _measure(folder: Path, seconds: float, rounds: int) -> list[Figure]:
    server = await EmbeddedPostgres.start(folder / "home")
    try:
        await migrate(owner_url=server.owner_url, application_url=server.application_url)
        load = Load(seconds)
        url = server.application_url
        figures = [_pgbench(folder, server, clients, seconds, rounds) for clients in (1, 8, 32)]
        figures.append(await _one_a_call(url, load, rounds))
        figures.append(await _in_process(url, load, rounds))
        with serving(folder, url, "ledger", log_level="error") as (run, _):
            figures.append(await _unary(run, load, rounds))
            figures.append(await _batches(run, load, rounds))
        return figures
    finally:
        await server.stop()


async def _one_a_call(url: str, load: Load, rounds: int) -> Figure:
    database = await Database.connect(url, application_name="bench", pool_size=32)
    journal, writer = Journal(database, event_payload, SystemClock()), JournalWriter()
    failures = 0

    async def call() -> int:
        nonlocal failures
        unit = journal.posting(_draft())

        async def work(connection: Connection) -> object:
            return await writer.write(connection, [unit])

        while True:
            try:
                await database.transaction(work, isolation=Isolation.SERIALIZABLE, tries=1)
            except Exception as error:
                if not is_retryable(error):
                    raise
                failures += 1
            else:
                return 1

    measured = [await load.run(call, in_flight=32) for _ in range(rounds)]
    await database.close()
    return _figure("this code, one a transaction, 32 connections", measured, failures)


async def _in_process(url: str, load: Load, rounds: int) -> Figure:
    database = await Database.connect(url, application_name="bench")
    journal = Journal(database, event_payload, SystemClock())

    async def call() -> int:
        await journal.post(_draft())
        return 1

    measured = [await load.run(call, in_flight=4_000) for _ in range(rounds)]
    failures = journal.writer.counts.serialization_failures
    await journal.close()
    await database.close()
    return _figure("group commit in process", measured, failures)


async def _unary(run: RunFile, load: Load, rounds: int) -> Figure:
    async with connect(run.grpc_address, token=run.grpc_token) as channel:
        stub = LedgerServiceStub(channel)

        async def call() -> int:
            draft = _draft_message()
            await stub.PostTransaction(
                pb.PostTransactionRequest(
                    idempotency_key=draft.idempotency_key,
                    reference_id=draft.reference_id,
                    entries=draft.entries,
                )
            )
            return 1

        measured = [await load.run(call, in_flight=128) for _ in range(rounds)]
    return _figure("gRPC, one a call", measured, 0)


async def _batches(run: RunFile, load: Load, rounds: int) -> Figure:
    async with connect(run.grpc_address, token=run.grpc_token) as channel:
        stub = LedgerServiceStub(channel)
        template = pb.BatchPostTransactionsRequest(drafts=[_draft_message() for _ in range(100)])

        async def call() -> int:
            request = pb.BatchPostTransactionsRequest()
            request.CopyFrom(template)
            for draft in request.drafts:
                draft.idempotency_key = f"bench:{next(_numbers)}"
            response = await stub.BatchPostTransactions(request)
            return sum(result.HasField("posted") for result in response.results)

        measured = [await load.run(call, in_flight=32) for _ in range(rounds)]
    return _figure(_TARGET, measured, 0)


def _pgbench(
    folder: Path, server: EmbeddedPostgres, clients: int, seconds: float, rounds: int
) -> Figure:
    script = folder / "pgbench.sql"
    script.write_text(_PGBENCH_SCRIPT)
    command: list[str | Path] = [
        find_binaries().folder / "pgbench", "--no-vacuum", "--max-tries=1000",
        f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(seconds))}",
        f"--file={script}", server.application_url,
    ]  # fmt: skip
    measured, retries = [], 0
    for _ in range(rounds):
        finished = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        measured.append(_number(r"tps = ([\d.]+)", finished.stdout))
        retries += int(_number(r"total number of retries: (\d+)", finished.stdout))
    return _figure(f"pgbench, {clients} connections", measured, retries)


_numbers = count()
_run_id = uuid.uuid4().hex
_USD = Currency("USD")


def _draft() -> TransactionDraft:
    return TransactionDraft(
        f"{_run_id}:{next(_numbers)}",
        "pay_bench",
        tuple(EntryDraft(account, Money(minor, _USD)) for account, minor in _LEGS),
    )


def _draft_message() -> DraftMessage:
    return DraftMessage(
        idempotency_key=f"{_run_id}:{next(_numbers)}",
        reference_id="pay_bench",
        entries=[
            EntryMessage(account=account, amount=MoneyMessage(amount_minor=minor, currency="USD"))
            for account, minor in _LEGS
        ],
    )


def _figure(name: str, measured: Sequence[float], failures: int) -> Figure:
    rounds = tuple(round(each) for each in measured)
    return Figure(name, statistics.median(rounds), rounds, failures)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


def _print(figures: Sequence[Figure], baseline: float) -> None:
    table = Table("three-leg transactions, SERIALIZABLE, durable")
    for heading in ("a second", "rounds", "x baseline", "serialization failures"):
        table.add_column(heading, justify="right")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.transactions_per_second:,.0f}",
            " ".join(f"{each:,.0f}" for each in figure.rounds),
            f"{figure.transactions_per_second / baseline:.1f}",
            f"{figure.serialization_failures:,}",
        )
    Console().print(table)
