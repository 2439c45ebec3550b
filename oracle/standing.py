"""What waits, failed or is in doubt: no contradiction, but what an operator wants to see beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oracle.books import QUERIES
from services.runtime.database import Connection, Record


@dataclass(frozen=True, slots=True)
class Heap:
    """Things of one kind that stand open."""

    name: str
    """Which ones: a state, or whose they are; empty where there is one kind alone."""
    count: int
    oldest: datetime
    currency: str = ""
    amount_minor: int = 0
    """What they come to, where they are about money."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that stands open at one moment, by the database's clock."""

    now: datetime
    in_doubt: Sequence[Heap]
    postings: Sequence[Heap]
    """By state, `pending` or `needs_reconciliation`, and currency."""
    dead_letters: Sequence[Heap]
    """By consumer."""
    webhooks: Sequence[Heap]
    """By state: `pending`, `unmatched` or `failed`."""


async def read_standing(connection: Connection) -> Standing:
    async def heaps(statement: str, name: str = "") -> Sequence[Heap]:
        return [_heap(row, name) for row in await connection.fetch(QUERIES[statement])]

    return Standing(
        now=await connection.fetchval(QUERIES["now"]),
        in_doubt=await heaps("doubts"),
        postings=await heaps("open_postings", "state"),
        dead_letters=await heaps("dead_letters", "consumer"),
        webhooks=await heaps("open_webhooks", "state"),
    )


def _heap(row: Record, name: str) -> Heap:
    told = dict(row)
    return Heap(
        name=told[name] if name else "",
        count=told["count"],
        oldest=told["oldest"],
        currency=told.get("currency", ""),
        amount_minor=told.get("amount_minor", 0),
    )
