"""Payments: every write through group commit, each conditional on what its writer has read."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.kernel.ids import AttemptId, MerchantId, PaymentId
from services.kernel.money import Currency, Money
from services.orchestrator.domain.changes import Changes
from services.orchestrator.domain.command import Decided, KeyRecord
from services.orchestrator.domain.listing import PaymentFilter
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import (
    LEASE,
    Claim,
    Doubt,
    Hold,
    Lease,
    Saved,
    Written,
)
from services.orchestrator.store.loading import Build, Loading
from services.orchestrator.store.postings import Postings
from services.orchestrator.store.reading import SQL, find_payments, read_payments
from services.orchestrator.store.unit import Codec, Unit, unit_of
from services.orchestrator.store.writing import PaymentWriter, key_record
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.group_commit import Admission, GroupCommit


class Payments:
    """What the use cases ask of the store."""

    def __init__(
        self,
        database: Database,
        codec: Codec,
        postings: Postings,
        *,
        batch_size: int = 500,
        lease: timedelta = LEASE,
    ) -> None:
        self._lease = lease
        self._database = database
        self._codec = codec
        self._postings = postings
        self.writer: GroupCommit[Unit, Written] = GroupCommit(
            database, PaymentWriter(lease), name="payment writer", batch_size=batch_size
        )
        self._loading = Loading(self._read)

    async def save(
        self,
        payment: Payment,
        changes: Changes,
        hold: Hold,
        *,
        claim: Claim | None = None,
        decided: Sequence[Decided] = (),
    ) -> Written:
        """Commit changes to a payment that still stands as it was read.

        With a claim, what stands under its key is returned instead when the key was taken before;
        and what an event did before, when the change is by an event that was applied before.
        """
        unit = unit_of(payment, changes, self._codec, hold, claim=claim, decided=decided)
        is_intent = changes.expected_version == 0
        written = await self.writer.submit(unit, Admission.INTENT if is_intent else Admission.FACT)
        if changes.postings and isinstance(written, Saved):
            self._postings.ring()
        return written

    async def find(self, payment_id: PaymentId) -> Payment | None:
        return await self._loading.find(payment_id)

    async def _read(self, payment_ids: Sequence[PaymentId]) -> Mapping[PaymentId, Build]:
        async def read(connection: Connection) -> Mapping[PaymentId, Build]:
            return await read_payments(connection, self._codec, [each.hex for each in payment_ids])

        # One snapshot, so that payment, steps and attempts are of one moment.
        return await self._database.transaction(read, isolation=Isolation.REPEATABLE_READ)

    async def find_version(self, payment_id: PaymentId) -> int | None:
        """At which version a payment stands."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["find_version"], payment_id.hex)
        return rows[0]["version"] if rows else None

    async def find_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None:
        """What stands under a key."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["find_keys"], [merchant_id.hex], [key])
        return key_record(rows[0]) if rows else None

    async def find_by_attempt(self, attempt_id: AttemptId) -> PaymentId | None:
        """The payment that an attempt belongs to."""
        return await self._find_id("find_by_attempt", attempt_id.hex)

    async def find_by_reference(self, processor_id: str, reference: str) -> PaymentId | None:
        """The payment that a processor's own id belongs to."""
        return await self._find_id("find_by_reference", processor_id, reference)

    async def list_payments(
        self, wanted: PaymentFilter, after: PaymentId | None, limit: int
    ) -> Sequence[Payment]:
        """Payments from newest to oldest, from after one of them."""

        async def read(connection: Connection) -> Sequence[Payment]:
            rows = await connection.fetch(
                SQL["list_ids"],
                wanted.merchant_id and wanted.merchant_id.hex,
                list(wanted.states),
                wanted.user_id,
                wanted.processor_reference,
                wanted.in_doubt,
                list(wanted.posting_states),
                wanted.created_from,
                wanted.created_before,
                after and after.hex,
                limit,
            )
            return await find_payments(connection, self._codec, [row["id"] for row in rows])

        return await self._database.transaction(read, isolation=Isolation.REPEATABLE_READ)

    async def take_due(self, now: datetime, limit: int) -> Sequence[Lease]:
        """Take up payments that someone has to go on with and nobody drives."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["take_due_payments"], now, limit, self._lease)
        return [_lease(row) for row in rows]

    async def take(self, payment_id: PaymentId) -> Lease | None:
        """Take up one payment, if someone has to go on with it and nobody drives it."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["take_payment"], payment_id.hex, self._lease)
        return Lease(payment_id, rows[0]["lease_epoch"]) if rows else None

    async def renew(self, leases: Sequence[Lease]) -> frozenset[PaymentId]:
        """Go on driving; which of them are still ours."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["renew_leases"], *_lease_columns(leases), self._lease)
        return frozenset(PaymentId.of_hex(row["id"].hex) for row in rows)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Leave payments to whoever takes them up next."""
        async with self._database.connection() as connection:
            await connection.execute(SQL["release_leases"], *_lease_columns(leases))

    async def doubts(self) -> Sequence[Doubt]:
        """What is in doubt, by currency."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["doubts"])
        return [
            Doubt(row["payments"], Money(row["amount"], Currency(row["currency"])), row["since"])
            for row in rows
        ]

    async def close(self) -> None:
        await self._loading.close()
        await self.writer.close()

    async def _find_id(self, statement: str, *values: object) -> PaymentId | None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL[statement], *values)
        return PaymentId.of_hex(rows[0]["payment_id"].hex) if rows else None


def _lease(row: Record) -> Lease:
    return Lease(PaymentId.of_hex(row["id"].hex), row["lease_epoch"])


def _lease_columns(leases: Sequence[Lease]) -> tuple[list[str], list[int]]:
    return [lease.payment_id.hex for lease in leases], [lease.epoch for lease in leases]
