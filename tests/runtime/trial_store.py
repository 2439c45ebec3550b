"""A small store for group commit to write: claims, rows, and a counter for each aggregate."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from services.kernel.errors import Conflict, SwitchyardError
from services.runtime.database import Connection, Database

TABLES = """
create schema trial;
create table trial.writes (
    id bigint generated always as identity,
    aggregate text not null,
    amount bigint not null check (amount > 0)
);
create table trial.claims (key text primary key, aggregate text not null);
create table trial.counters (aggregate text primary key, total bigint not null);
grant usage on schema trial to switchyard_app;
grant select, insert, update on all tables in schema trial to switchyard_app;
"""


@dataclass(frozen=True)
class Write:
    """One row for one aggregate, perhaps under a claimed key."""

    aggregate: str
    amount: int = 1
    claim: str | None = None


class TrialStore:
    """Claims keys, inserts rows, counts per aggregate by a set-wise update."""

    def keys(self, unit: Write) -> tuple[str, ...]:
        return (unit.aggregate,) if unit.claim is None else (unit.aggregate, f"claim:{unit.claim}")

    async def claim(
        self, connection: Connection, units: Sequence[Write]
    ) -> Mapping[int, int | SwitchyardError]:
        claimed = [(index, unit) for index, unit in enumerate(units) if unit.claim is not None]
        won = await connection.fetch(
            """insert into trial.claims (key, aggregate)
               select * from unnest($1::text[], $2::text[])
               on conflict do nothing returning key""",
            [unit.claim for _, unit in claimed],
            [unit.aggregate for _, unit in claimed],
        )
        winners = {row["key"] for row in won}
        return {
            index: Conflict(f"{unit.claim} is taken")
            for index, unit in claimed
            if unit.claim not in winners
        }

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        rows = ([unit.aggregate for unit in units], [unit.amount for unit in units])
        await connection.execute(
            """insert into trial.writes (aggregate, amount)
               select * from unnest($1::text[], $2::bigint[])""",
            *rows,
        )
        totals = await connection.fetch(
            """insert into trial.counters as counter (aggregate, total)
               select * from unnest($1::text[], $2::bigint[])
               on conflict (aggregate) do update set total = counter.total + excluded.total
               returning aggregate, total""",
            *rows,
        )
        by_aggregate = {row["aggregate"]: row["total"] for row in totals}
        return [by_aggregate[unit.aggregate] for unit in units]


async def count(database: Database, statement: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(statement))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what no event tells of, with time enough for a busy machine."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 -- the server tells nobody
            await asyncio.sleep(0.01)


async def until_no_session(database: Database, name: str) -> None:
    """Wait until the server has no session of that name."""

    async def has_none() -> bool:
        return await sessions(database, name) == 0

    await until(has_none)


async def sessions(database: Database, name: str) -> int:
    """How many sessions of that name there are in this database."""
    return await count(
        database,
        "select count(*) from pg_stat_activity"
        f" where datname = current_database() and application_name = '{name}'",
    )
