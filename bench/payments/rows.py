"""What a payment leaves in the database, and a pgbench script that writes the same."""

import asyncio
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from bench.payments.load import Round
from services.kernel.ids import MerchantId
from services.runtime.database import Database
from services.runtime.embedded_postgres.binaries import find_binaries

_SCRIPT: Final = Path(__file__).with_name("payment.sql")

_LOOK_SECONDS: Final = 0.05
_DRAINED_WITHIN_SECONDS: Final = 120.0
_IS_DRAINED: Final = """
select not exists (select from payments.postings where state = 'pending')
   and not exists (select from messaging.outbox where relayed_at is null)
"""

_SIZES: Final = """
with paid as (select id, request from payments.payments order by id desc limit 100)
select (select avg(length(request)) from paid)::integer as request_bytes,
       (select avg(length(plan)) from payments.plans
         where payment_id in (select id from paid))::integer as plan_bytes,
       (select avg(length(records[1])) from payments.attempts
         where payment_id in (select id from paid))::integer as record_bytes,
       (select avg(length(answer)) from payments.idempotency
         where payment_id in (select id from paid))::integer as answer_bytes,
       (select avg(length(payload)) from messaging.outbox
         where position > (select max(position) - 600 from messaging.outbox))::integer
           as event_bytes
"""


@dataclass(frozen=True)
class RowSizes:
    """How large the values are that differ from payment to payment, as they were just written."""

    request_bytes: int
    plan_bytes: int
    record_bytes: int
    answer_bytes: int
    event_bytes: int

    @classmethod
    async def measured(cls, database: Database) -> Self:
        async with database.connection() as connection:
            (row,) = await connection.fetch(_SIZES)
        return cls(**dict(row.items()))


async def drained(database: Database) -> float:
    """Wait until all is booked and every event is taken away; how many seconds that took."""
    began = time.perf_counter()
    async with database.connection() as connection:
        while not await connection.fetchval(_IS_DRAINED):
            # Nothing tells: what is waited for is done by other processes, too.
            await asyncio.sleep(_LOOK_SECONDS)
            if time.perf_counter() - began > _DRAINED_WITHIN_SECONDS:
                raise SystemExit("what was paid is not booked, or not told of, minutes later")
    return time.perf_counter() - began


async def run_pgbench(url: str, sizes: RowSizes, *, clients: int, seconds: float) -> Round:
    """Write payments with nothing but statements that are prepared, at READ COMMITTED."""
    variables = {**asdict(sizes), "merchant": MerchantId.new().removeprefix("mer_")}
    process = await asyncio.create_subprocess_exec(
        find_binaries().folder / "pgbench", "--no-vacuum", "--protocol=prepared",
        f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(seconds))}",
        *(f"--define={name}={value}" for name, value in variables.items()),
        f"--file={_SCRIPT}", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, problem = await process.communicate()
    if process.returncode:
        raise SystemExit(f"pgbench failed: {problem.decode()}")
    text = output.decode()
    return Round(_number(r"tps = ([\d.]+)", text), _number(r"latency average = ([\d.]+)", text))


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"pgbench says something else: {text}"
    return float(found[1])
