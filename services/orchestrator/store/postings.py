"""Postings on their way to the ledger."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from services.kernel.errors import Conflict, NotFound, Reason
from services.kernel.ids import PaymentId, PostingId
from services.kernel.money import Currency, Money
from services.orchestrator.domain.posting import (
    Booked,
    DuePosting,
    Entry,
    Refusal,
    RetryOrder,
)
from services.orchestrator.domain.saving import LEASE
from services.orchestrator.store.reading import SQL
from services.orchestrator.store.rows import Row, columns
from services.runtime.database import Connection, Database, Record

RETRIED_MAX: Final = 10_000
"""So many postings begin anew with one call, so that it keeps none of them locked for long."""


class Postings:
    """What waits to be booked, and a bell for the one who books it."""

    def __init__(
        self, database: Database, *, lease: timedelta = LEASE, retried_max: int = RETRIED_MAX
    ) -> None:
        self._database = database
        # Who tries it keeps it for longer than the call to the ledger may take.
        self._lease = lease
        self._retried_max = retried_max
        self._waiting = asyncio.Event()

    def ring(self) -> None:
        """Say that there is something to book."""
        self._waiting.set()

    async def wait(self, at_most: timedelta) -> None:
        """Wait for the bell, or for the time in which others may have rung elsewhere."""
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._waiting.wait()
        except TimeoutError:
            return
        self._waiting.clear()

    async def take_due(self, limit: int) -> Sequence[DuePosting]:
        """Take what is due for one try, counted beforehand."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["take_due_postings"], limit, self._lease)
        return [_due(row) for row in rows]

    async def mark_booked(self, booked: Mapping[PostingId, Booked]) -> None:
        """The ledger has them."""
        await self._write(
            "mark_booked",
            [
                (posting_id.hex, each.transaction_id.hex, each.posted_at)
                for posting_id, each in sorted(booked.items())
            ],
        )

    async def put_off(self, refused: Mapping[PostingId, tuple[Refusal, timedelta]]) -> None:
        """The ledger has them not; they are due again after their pause."""
        await self._write(
            "put_off_postings",
            [
                (posting_id.hex, refusal.reason, refusal.message, pause)
                for posting_id, (refusal, pause) in sorted(refused.items())
            ],
        )

    async def retry(self, order: RetryOrder) -> int:
        """Let postings that were given up be due again; how many, the same for each repeat."""

        async def work(connection: Connection) -> int:
            asked = hashlib.sha256(repr(order).encode()).digest()
            claim = order.idempotency_key, asked, order.operator, order.reason
            if await connection.fetchval(SQL["claim_retry"], *claim):
                await _retry(connection, order, self._retried_max)
            row = await connection.fetchrow(SQL["find_retry"], order.idempotency_key)
            assert row is not None, "it stands, by this call or by an earlier one"
            if row["fingerprint"] != asked:
                raise Conflict(
                    "this idempotency key was used before, for another retry",
                    reason=Reason.IDEMPOTENCY_KEY_REUSED,
                )
            return int(row["postings"])

        count = await self._database.transaction(work)
        self.ring()
        return count

    async def _write(self, statement: str, rows: Sequence[Row]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(SQL[statement], *columns(rows))


async def _retry(connection: Connection, order: RetryOrder, at_most: int) -> None:
    wanted = order.selection
    ids = None if wanted.ids is None else [each.hex for each in wanted.ids]
    unknown = await connection.fetchval(SQL["find_unknown_postings"], ids or [])
    if unknown is not None:
        raise NotFound(f"there is no posting {PostingId.of_hex(unknown.hex)}")
    await connection.execute(
        SQL["retry_postings"],
        order.idempotency_key,
        ids,
        wanted.payment_id and wanted.payment_id.hex,
        wanted.merchant_id and wanted.merchant_id.hex,
        at_most,
    )


def _due(row: Record) -> DuePosting:
    return DuePosting(
        id=PostingId.of_hex(row["id"].hex),
        payment_id=PaymentId.of_hex(row["payment_id"].hex),
        idempotency_key=row["idempotency_key"],
        amount=Money(row["amount"], Currency(row["currency"])),
        entries=tuple(
            Entry(each["account"], Money(each["amount_minor"], Currency(each["currency"])))
            for each in json.loads(row["entries"])
        ),
        try_count=row["try_count"],
        traceparent=row["traceparent"],
    )
