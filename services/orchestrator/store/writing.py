"""One batch of payments, as one database transaction: what it takes first, and what it writes then.

A key, an event, a version, an epoch or a quota that somebody else has taken keeps its unit from
being written, and the unit is answered with what stands instead.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Final, TypeAlias

from services.kernel.errors import InFlight, Reason
from services.kernel.ids import PaymentId, RequestId
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.command import Answer, Command, Decided, KeyRecord, judge
from services.orchestrator.domain.saving import Claim, Overtaken, Saved, ToldBefore, Written
from services.orchestrator.store.policy import claim_quotas
from services.orchestrator.store.reading import SQL
from services.orchestrator.store.rows import Row, columns
from services.orchestrator.store.unit import Unit
from services.runtime.database import Connection, Record
from services.runtime.group_commit import Verdict
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
    return {place: judge(claims[place].command, key_record(row)) for place, row in places}


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


def key_record(row: Record) -> KeyRecord:
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
