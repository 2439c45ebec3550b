"""Payments: every write through group commit, each conditional on what its writer has read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Final, TypeAlias

from services.kernel.errors import InFlight, Reason
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RequestId
from services.kernel.money import Currency, Money
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.command import Answer, Command, Decided, KeyRecord, judge
from services.orchestrator.domain.listing import PaymentFilter
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.record import Changes
from services.orchestrator.domain.saving import (
    LEASE,
    Claim,
    Doubt,
    Hold,
    Lease,
    Overtaken,
    Saved,
    ToldBefore,
    Written,
)
from services.orchestrator.store.policy import claim_quotas
from services.orchestrator.store.postings import Postings
from services.orchestrator.store.reading import SQL, find_payments
from services.orchestrator.store.rows import Codec, Row, Unit, columns, unit_of
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.group_commit import Admission, GroupCommit, Verdict
from services.runtime.messaging.outbox import append

_NO_TRANSITIONS: Final[Sequence[list[object]]] = ([], [], [], [], [])


Losers: TypeAlias = Mapping[int, Verdict[Written]]


class PaymentWriter:
    """One batch of payments, begun and changed, in one database transaction."""

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease
        self._held: dict[str, Saved] = {}

    def keys(self, unit: Unit) -> tuple[str, ...]:
        keys = [str(unit.payment_id)]
        if unit.claim is not None:
            keys.append(" ".join(_key(unit.claim.command)))
        if unit.event is not None:
            keys.append(f"{unit.event[0]} {unit.event[1]}")
        return tuple(keys)

    async def claim(self, connection: Connection, units: Sequence[Unit]) -> Losers:
        """Keys and events not taken before, payments that stand as they were read, and quotas."""
        self._held = {}
        # What stands under a key is read before anything is written, so that nobody is told of
        # what this transaction may yet roll back.
        return (
            await _claim_keys(connection, units)
            or await _claim_events(connection, units)
            or await self._claim_versions(connection, units)
            # Last, since a merchant's quota is drawn by everyone, and held until the commit.
            or await claim_quotas(connection, units)
        )

    async def write(
        self, connection: Connection, units: Sequence[Unit]
    ) -> Sequence[Verdict[Written]]:
        births = [(unit, unit.birth) for unit in units if unit.birth is not None]
        if births:
            await connection.execute(
                SQL["add_payments"],
                *columns((*unit.payment, *birth) for unit, birth in births),
                *columns(chain.from_iterable(unit.transitions for unit, _ in births)),
                self._lease,
            )
        for statement, rows in (
            ("say_requests", [row for unit in units for row in unit.request if not unit.birth]),
            ("add_plans", [row for unit in units for row in unit.plans]),
            ("put_steps", [row for unit in units for row in unit.steps]),
            ("put_attempts", [row for unit in units for row in unit.attempts]),
            ("put_refunds", [row for unit in units for row in unit.refunds]),
            ("put_refund_parts", [row for unit in units for row in unit.parts]),
            ("put_disputes", [row for unit in units for row in unit.disputes]),
            ("add_postings", [row for unit in units for row in unit.postings]),
            ("reject_postings", [row for unit in units for row in unit.rejected]),
            ("store_answers", _answer_rows(units)),
        ):
            if rows:
                await connection.execute(SQL[statement], *columns(rows))
        await append(connection, [message for unit in units for message in unit.messages])
        return [self._saved(unit) for unit in units]

    async def _claim_versions(self, connection: Connection, units: Sequence[Unit]) -> Losers:
        standing = [unit for unit in units if unit.birth is None]
        if not standing:
            return {}
        transitions = columns(chain.from_iterable(unit.transitions for unit in standing))
        rows = await connection.fetch(
            SQL["move_payments"],
            *columns(unit.payment for unit in standing),
            *(transitions or _NO_TRANSITIONS),
            self._lease,
            [unit.hold.is_required for unit in standing],
        )
        self._held = {row["id"].hex: Saved(row["drives"], row["lease_epoch"]) for row in rows}
        lost = {
            place: unit
            for place, unit in enumerate(units)
            if unit.birth is None and unit.payment_id.hex not in self._held
        }
        return await _told_why(connection, lost) if lost else {}

    def _saved(self, unit: Unit) -> Saved:
        if unit.birth is None:
            return self._held[unit.payment_id.hex]
        # Nobody else can drive what was not there.
        drives = bool(unit.payment[_DRIVES])
        return Saved(drives, int(drives))


_DRIVES: Final = 17


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
        async def read(connection: Connection) -> Sequence[Payment]:
            return await find_payments(connection, self._codec, [payment_id.hex])

        # One snapshot, so that payment, steps and attempts are of one moment.
        found = await self._database.transaction(read, isolation=Isolation.REPEATABLE_READ)
        return found[0] if found else None

    async def find_version(self, payment_id: PaymentId) -> int | None:
        """At which version a payment stands."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["find_version"], payment_id.hex)
        return rows[0]["version"] if rows else None

    async def find_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None:
        """What stands under a key."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL["find_keys"], [merchant_id.hex], [key])
        return _key_record(rows[0]) if rows else None

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
        await self.writer.close()

    async def _find_id(self, statement: str, *values: object) -> PaymentId | None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(SQL[statement], *values)
        return PaymentId.of_hex(rows[0]["payment_id"].hex) if rows else None


async def _told_why(connection: Connection, lost: Mapping[int, Unit]) -> Losers:
    """Who else has changed these payments, or drives them where only their driver may."""
    rows = await connection.fetch(
        SQL["find_epochs"], [unit.payment_id.hex for unit in lost.values()]
    )
    epochs = {row["id"].hex: row["lease_epoch"] for row in rows}
    return {
        place: Overtaken()
        if unit.hold.is_required and epochs.get(unit.payment_id.hex) != unit.hold.epoch
        else InFlight(
            f"someone changed {unit.payment_id} since it was read as {unit.expected_version}",
            reason=Reason.STALE_VERSION,
        )
        for place, unit in lost.items()
    }


async def _claim_keys(connection: Connection, units: Sequence[Unit]) -> Losers:
    # Sorted by key, so that two processes that want the same ones wait in the same order.
    claims = {place: unit.claim for place, unit in enumerate(units) if unit.claim is not None}
    wanted = sorted((_key(claim.command), place) for place, claim in claims.items())
    if not wanted:
        return {}
    rows = await connection.fetch(
        SQL["claim_keys"],
        *columns(_claim_row(units[place], claims[place]) for _, place in wanted),
    )
    won = {(row["merchant_id"].hex, row["key"]) for row in rows}
    lost = {key: place for key, place in wanted if key not in won}
    if not lost:
        return {}
    rows = await connection.fetch(SQL["find_keys"], *columns(lost))
    places = [(lost[row["merchant_id"].hex, row["key"]], row) for row in rows]
    return {place: judge(claims[place].command, _key_record(row)) for place, row in places}


async def _claim_events(connection: Connection, units: Sequence[Unit]) -> Losers:
    wanted = sorted(
        ((str(unit.event[0]), str(unit.event[1])), place)
        for place, unit in enumerate(units)
        if unit.event is not None
    )
    if not wanted:
        return {}
    rows = await connection.fetch(
        SQL["claim_events"], *columns(units[place].event or () for _, place in wanted)
    )
    won = {(row["processor_id"], row["event_id"]) for row in rows}
    lost = {key: place for key, place in wanted if key not in won}
    if not lost:
        return {}
    rows = await connection.fetch(SQL["find_events"], *columns(lost))
    return {
        lost[row["processor_id"], row["event_id"]]: ToldBefore(
            Disposition(row["disposition"]), row["message"]
        )
        for row in rows
    }


def _claim_row(unit: Unit, claim: Claim) -> Row:
    command = claim.command
    own = (each.answer.body for each in unit.decided if _is_own(each, unit))
    return (
        *_key(command),
        command.operation,
        command.fingerprint,
        json.dumps(dict(command.digests)),
        unit.payment_id.hex,
        command.request_id.hex,
        claim.refund_id and claim.refund_id.hex,
        next(own, None),
    )


def _answer_rows(units: Iterable[Unit]) -> list[Row]:
    """Answers to calls whose keys stand; one that is claimed just now has its own beside it."""
    return sorted(
        (decided.call.merchant_id.hex, decided.call.idempotency_key, decided.answer.body)
        for unit in units
        for decided in unit.decided
        if not _is_own(decided, unit)
    )


def _is_own(decided: Decided, unit: Unit) -> bool:
    """Whether it answers the call whose key the unit takes."""
    if unit.claim is None:
        return False
    call = decided.call
    return (call.merchant_id.hex, call.idempotency_key) == _key(unit.claim.command)


def _key(command: Command) -> tuple[str, str]:
    return command.merchant_id.hex, command.idempotency_key


def _key_record(row: Record) -> KeyRecord:
    answer, request_id = row["answer"], RequestId.of_hex(row["request_id"].hex)
    return KeyRecord(
        PaymentId.of_hex(row["payment_id"].hex),
        row["operation"],
        row["fingerprint"],
        json.loads(row["fields"]),
        request_id,
        row["first_used_at"],
        row["answered_at"],
        None if answer is None else Answer(answer, request_id, replayed=True),
    )


def _lease(row: Record) -> Lease:
    return Lease(PaymentId.of_hex(row["id"].hex), row["lease_epoch"])


def _lease_columns(leases: Sequence[Lease]) -> tuple[list[str], list[int]]:
    return [lease.payment_id.hex for lease in leases], [lease.epoch for lease in leases]
