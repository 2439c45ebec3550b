"""Payments: every write through group commit, each conditional on what its writer has read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from services.kernel.errors import InFlight, Reason, SwitchyardError
from services.kernel.ids import PaymentId, RequestId
from services.orchestrator.domain.command import Answer, Command, Decided, KeyRecord, judge
from services.orchestrator.domain.listing import PaymentFilter
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.record import Changes
from services.orchestrator.store.postings import Postings
from services.orchestrator.store.reading import SQL, find_payments
from services.orchestrator.store.rows import Codec, Row, Unit, birth_of, columns, unit_of
from services.runtime.database import Connection, Database, Isolation, Record
from services.runtime.group_commit import Admission, GroupCommit, Verdict
from services.runtime.messaging.outbox import append


class PaymentWriter:
    """One batch of payments, begun and changed, in one database transaction."""

    def keys(self, unit: Unit) -> tuple[str, ...]:
        if unit.birth is None:
            return (unit.payment_id,)
        command = unit.birth.command
        return (unit.payment_id, f"{command.merchant_id} {command.idempotency_key}")

    async def claim(
        self, connection: Connection, units: Sequence[Unit]
    ) -> Mapping[int, Verdict[Answer | None]]:
        """Keys not used before, and payments that still stand as they were read."""
        # What stands under a key is read before anything is written, so that nobody is told of
        # what this transaction may yet roll back.
        losers = await _claim_keys(connection, units)
        return losers or await _claim_versions(connection, units)

    async def write(
        self, connection: Connection, units: Sequence[Unit]
    ) -> Sequence[Verdict[Answer | None]]:
        births = [(unit, unit.birth) for unit in units if unit.birth is not None]
        if births:
            await connection.execute(
                SQL["add_payments"],
                *columns((*unit.payment, *birth.payment) for unit, birth in births),
                *columns(chain.from_iterable(unit.transitions for unit, _ in births)),
            )
        for statement, rows in (
            ("add_plans", [row for _, birth in births for row in birth.plans]),
            ("put_steps", [row for unit in units for row in unit.steps]),
            ("put_attempts", [row for unit in units for row in unit.attempts]),
            ("add_postings", [row for unit in units for row in unit.postings]),
            ("reject_postings", [row for unit in units for row in unit.rejected]),
            ("store_answers", _answer_rows(units)),
        ):
            if rows:
                await connection.execute(SQL[statement], *columns(rows))
        await append(connection, [message for unit in units for message in unit.messages])
        return [None] * len(units)


class Payments:
    """What the use cases ask of the store."""

    def __init__(
        self, database: Database, codec: Codec, postings: Postings, *, batch_size: int = 500
    ) -> None:
        self._database = database
        self._codec = codec
        self._postings = postings
        self.writer: GroupCommit[Unit, Answer | None] = GroupCommit(
            database, PaymentWriter(), name="payment writer", batch_size=batch_size
        )

    async def begin(
        self, payment: Payment, changes: Changes, command: Command, answer: Answer | None
    ) -> Answer | None:
        """Commit a new payment under its key, or return what was answered under it before."""
        decided = None if answer is None else Decided(command, answer)
        birth = birth_of(payment, command, self._codec)
        unit = unit_of(payment, changes, self._codec, birth=birth, decided=decided)
        return await self.writer.submit(unit)

    async def save(
        self, payment: Payment, changes: Changes, decided: Decided | None = None
    ) -> None:
        """Commit changes to a payment that still stands as it was read."""
        unit = unit_of(payment, changes, self._codec, decided=decided)
        await self.writer.submit(unit, Admission.FACT)
        if changes.postings:
            self._postings.ring()

    async def find(self, payment_id: PaymentId) -> Payment | None:
        async def read(connection: Connection) -> Sequence[Payment]:
            return await find_payments(connection, self._codec, [payment_id.hex])

        # One snapshot, so that payment, steps and attempts are of one moment.
        found = await self._database.transaction(read, isolation=Isolation.REPEATABLE_READ)
        return found[0] if found else None

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

    async def close(self) -> None:
        await self.writer.close()


async def _claim_keys(
    connection: Connection, units: Sequence[Unit]
) -> dict[int, Verdict[Answer | None]]:
    # Sorted by key, so that two processes that want the same ones wait in the same order.
    wanted = sorted(
        (_key(unit.birth.command), place)
        for place, unit in enumerate(units)
        if unit.birth is not None
    )
    if not wanted:
        return {}
    rows = await connection.fetch(
        SQL["claim_keys"], *columns(_claim_row(units[place]) for _, place in wanted)
    )
    won = {(row["merchant_id"].hex, row["key"]) for row in rows}
    lost = {key: place for key, place in wanted if key not in won}
    if not lost:
        return {}
    losers: dict[int, Verdict[Answer | None]] = {}
    for row in await connection.fetch(SQL["find_keys"], *columns(lost)):
        place = lost[row["merchant_id"].hex, row["key"]]
        birth = units[place].birth
        assert birth is not None
        losers[place] = judge(birth.command, _key_record(row))
    return losers


async def _claim_versions(
    connection: Connection, units: Sequence[Unit]
) -> dict[int, SwitchyardError]:
    standing = [unit for unit in units if unit.birth is None]
    if not standing:
        return {}
    transitions = columns(chain.from_iterable(unit.transitions for unit in standing))
    rows = await connection.fetch(
        SQL["move_payments"],
        *columns((*unit.payment, unit.expected_version) for unit in standing),
        *(transitions or [[]] * 5),
    )
    moved = {row["id"].hex for row in rows}
    return {
        place: InFlight(
            f"someone changed {unit.payment_id} since it was read as {unit.expected_version}",
            reason=Reason.STALE_VERSION,
        )
        for place, unit in enumerate(units)
        if unit.birth is None and unit.payment_id.hex not in moved
    }


def _claim_row(unit: Unit) -> Row:
    assert unit.birth is not None
    command = unit.birth.command
    return (
        *_key(command),
        command.operation,
        command.fingerprint,
        json.dumps(dict(command.digests)),
        unit.payment_id.hex,
        command.request_id.hex,
        unit.decided and unit.decided.answer.body,
    )


def _answer_rows(units: Iterable[Unit]) -> list[Row]:
    """Answers to calls whose keys stand; a birth stores its own with the key."""
    return sorted(
        (*_key(unit.decided.command), unit.decided.answer.body)
        for unit in units
        if unit.birth is None and unit.decided is not None
    )


def _key(command: Command) -> tuple[str, str]:
    return command.merchant_id.hex, command.idempotency_key


def _key_record(row: Record) -> KeyRecord:
    answer = row["answer"]
    return KeyRecord(
        PaymentId.of_hex(row["payment_id"].hex),
        row["operation"],
        row["fingerprint"],
        json.loads(row["fields"]),
        None
        if answer is None
        else Answer(answer, RequestId.of_hex(row["request_id"].hex), replayed=True),
    )
