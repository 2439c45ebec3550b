"""What a run has left behind: rows, log lines and spans, and what may not be in any of them."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from services.runtime.database import Connection
from tests.fuzz import hostile
from tests.fuzz.probes import Finding, Mark, marks_in

_ROWS: Final = 2_000
_CHUNK_BYTES: Final = 1 << 20
_OVERLAP_BYTES: Final = 256
_CONTEXT_BYTES: Final = 80
# What a loop in the background writes at its own times, whatever comes in.
_BY_THEMSELVES: Final = frozenset(
    {"access.key_uses", "ledger.blocks", "ledger.epochs", "webhooks.comparisons"}
)
_CARDS: Final = tuple(card.encode() for card in hostile.CARDS)
_BETWEEN_DIGITS: Final = b" -"
_TABLES: Final = """
select format('%I.%I', schemaname, tablename) as name from pg_tables
 where schemaname not in ('pg_catalog', 'information_schema')
 order by 1
"""
_BYTES: Final = """
select format('%I', column_name) as name from information_schema.columns
 where format('%I.%I', table_schema, table_name) = $1 and data_type = 'bytea'
"""


@asynccontextmanager
async def superuser(database_url: str) -> AsyncIterator[Connection]:
    """A connection that may read everything, to the database that `payment-cli up` embeds."""
    connection = await asyncpg.connect(database_url, user="postgres")
    try:
        yield connection
    finally:
        await connection.close()


async def row_counts(connection: Connection) -> Mapping[str, int]:
    """How many rows each table has that nothing but a request writes to."""
    names = [row["name"] for row in await connection.fetch(_TABLES)]
    return {
        name: await connection.fetchval(f"select count(*) from {name}")
        for name in names
        if name not in _BY_THEMSELVES
    }


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> Iterable[Finding]:
    """The tables with other rows than before, though nothing was to be written."""
    for name, count in after.items():
        if count != before.get(name, 0):
            problem = (
                f"{name} had {before.get(name, 0)} rows and has {count}, though all was refused"
            )
            yield Finding("rows", problem)


async def search_rows(
    connection: Connection, refused: Collection[Mark]
) -> tuple[list[Finding], int]:
    """Card numbers in rows, rows that name a refused request, and how many rows there are."""
    findings: list[Finding] = []
    rows = 0
    for table in [row["name"] for row in await connection.fetch(_TABLES)]:
        columns = [row["name"] for row in await connection.fetch(_BYTES, table)]
        wanted = ", ".join(["each::text as shown", *columns])
        texts: Counter[str] = Counter()
        async with connection.transaction(readonly=True):
            async for row in connection.cursor(
                f"select {wanted} from {table} as each", prefetch=_ROWS
            ):
                rows += 1
                shown, *raw = row.values()
                text = b"\n".join([shown.encode(), *(each for each in raw if each is not None)])
                texts.update(_wrong(text, refused))
        findings += [Finding("row", f"{table}: {text}") for text in texts]
    return findings, rows


def _wrong(text: bytes, refused: Collection[Mark]) -> Iterable[str]:
    shown, *_ = cards_in(text) or [""]
    if shown:
        yield f"a card number: {shown}"
    for mark in marks_in(text):
        if mark in refused:
            yield f"a row of {mark.door}:{mark.number}, which was refused"


def search_file(path: Path) -> tuple[list[Finding], int]:
    """Card numbers in what was logged or traced, and how many lines there are."""
    findings: list[Finding] = []
    lines, carried = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            lines += chunk.count(b"\n")
            findings += [
                Finding(path.name, f"a card number: {shown}") for shown in cards_in(carried + chunk)
            ]
            carried = chunk[-_OVERLAP_BYTES:]
    return findings, lines


def cards_in(text: bytes) -> list[str]:
    """The card numbers that were sent, however grouped, with what stands around each."""
    plain = text.translate(None, _BETWEEN_DIGITS)
    places = [plain.find(card) for card in _CARDS]
    return [
        plain[max(0, place - _CONTEXT_BYTES) : place + _CONTEXT_BYTES].decode("utf-8", "replace")
        for place in places
        if place >= 0
    ]
