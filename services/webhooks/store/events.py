"""Webhook events in PostgreSQL: stored by group commit, each with the command to apply it."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from services.kernel.errors import Reason
from services.kernel.ids import EventId, PaymentId, WebhookEventId
from services.runtime.database import Connection, Database, Record
from services.runtime.group_commit import Admission, GroupCommit, Verdict
from services.runtime.messaging import outbox
from services.runtime.messaging.message import OutgoingMessage, Topic
from services.runtime.queries import load_queries
from services.webhooks.domain.event import (
    EventFilter,
    Failure,
    NewEvent,
    OpenEvent,
    Settlement,
    State,
    Stored,
    WebhookEvent,
)

SQL: Final = load_queries(__package__)

_BATCH_SIZE: Final = 500
_BATCH_BYTES: Final = 8 * 1024 * 1024
# What a row costs beside its body.
_ROW_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Command:
    """The command to apply one event, as it goes into the outbox."""

    id: EventId
    number: int
    """Greater than those of all commands before it."""
    webhook_event_id: WebhookEventId
    processor_id: str
    event_id: str
    event_type: str
    given_at: datetime


Encode = Callable[[Command], bytes]


@dataclass(frozen=True, slots=True)
class _Unit:
    """An event with the trace in which it is applied."""

    event: NewEvent
    headers: Mapping[str, str]


class _Writer:
    """One batch of events and their commands, in one transaction.

    Nothing is claimed: an event that is stored already writes nothing, and is answered beside those
    that are new.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode

    def keys(self, unit: _Unit) -> tuple[str, ...]:
        return (unit.event.event_id,)

    async def claim(
        self, _connection: Connection, _units: Sequence[_Unit]
    ) -> Mapping[int, Verdict[Stored]]:
        return {}

    async def write(
        self, connection: Connection, units: Sequence[_Unit]
    ) -> Sequence[Verdict[Stored]]:
        ids = await _standing(connection, [unit.event.event_id for unit in units])
        # Inserting what stands would do nothing as well, but wait for whoever is settling it.
        fresh = [unit for unit in units if unit.event.event_id not in ids]
        added = await self._add(connection, fresh)
        missed = [unit.event.event_id for unit in fresh if unit.event.event_id not in added]
        if missed:
            ids |= await _standing(connection, missed)
        ids |= added
        return [
            Stored(
                WebhookEventId.of_hex(ids[unit.event.event_id].hex),
                duplicate=unit.event.event_id not in added,
            )
            for unit in units
        ]

    async def _add(self, connection: Connection, units: Sequence[_Unit]) -> Mapping[str, UUID]:
        """Store events with their commands; where those are that another had not stored first."""
        if not units:
            return {}
        rows = await connection.fetch(SQL["add_events"], *_columns(unit.event for unit in units))
        headers = {unit.event.event_id: unit.headers for unit in units}
        await append_commands(connection, self._encode, rows, headers)
        return {row["stripe_event_id"]: row["id"] for row in rows}


class Events:
    """What the use cases and workers ask of the store."""

    def __init__(self, database: Database, encode: Encode) -> None:
        self._database = database
        self._encode = encode
        self._writer: GroupCommit[_Unit, Stored] = GroupCommit(
            database,
            _Writer(encode),
            name="webhook writer",
            batch_size=_BATCH_SIZE,
            batch_weight=_BATCH_BYTES,
            weigh=lambda unit: len(unit.event.body) + _ROW_BYTES,
        )

    async def add(self, event: NewEvent) -> Stored:
        """Store an event with the command to apply it, unless it is stored already."""
        headers = outbox.trace_headers(of=event.traceparent)
        return await self._writer.submit(_Unit(event, headers), Admission.FACT)

    async def find(self, webhook_event_id: str) -> WebhookEvent | None:
        """One event, by its id or the processor's own."""
        lead = f"{WebhookEventId.prefix}_"
        ours = webhook_event_id if webhook_event_id.startswith(lead) else None
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                SQL["find_event"], ours and WebhookEventId.parse(ours).hex, webhook_event_id
            )
        return None if row is None else _event(row)

    async def list_page(
        self, wanted: EventFilter, after: WebhookEventId | None, limit: int
    ) -> Sequence[WebhookEvent]:
        """Events without their bodies, newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                SQL["list_events"],
                wanted.states,
                wanted.event_type,
                wanted.processor_id,
                wanted.payment_id and wanted.payment_id.hex,
                wanted.created_from,
                wanted.created_before,
                after and after.hex,
                limit,
            )
        return [_event(row) for row in rows]

    async def open(self, connection: Connection, event_id: WebhookEventId) -> OpenEvent | None:
        """What it takes to apply an event."""
        row = await connection.fetchrow(SQL["find_open"], event_id.hex)
        return None if row is None else _open_event(row)

    async def settle(
        self,
        connection: Connection,
        event_id: WebhookEventId,
        settlement: Settlement,
        attempts: int,
    ) -> None:
        """Write what became of an event, in the caller's transaction."""
        payment_id = settlement.payment_id
        await connection.execute(
            SQL["settle"],
            event_id.hex,
            settlement.state,
            payment_id and payment_id.hex,
            attempts,
            settlement.due_in,
        )

    async def give_up(
        self, connection: Connection, event_id: WebhookEventId, failure: Failure
    ) -> None:
        """Write that every try has failed, in the caller's transaction."""
        await connection.execute(
            SQL["give_up"],
            event_id.hex,
            failure.reason,
            failure.message,
            failure.attempts,
            failure.dead_letter_id,
        )

    async def command_due(self, limit: int) -> int:
        """Give a new command for events whose time has come; how many those were."""

        async def work(connection: Connection) -> int:
            rows = await connection.fetch(SQL["take_due"], limit)
            await append_commands(connection, self._encode, rows)
            return len(rows)

        return await self._database.transaction(work)

    async def close(self) -> None:
        await self._writer.close()


async def append_commands(
    connection: Connection,
    encode: Encode,
    rows: Sequence[Record],
    headers: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Have events applied, in the transaction that gave their commands numbers."""
    now = datetime.now(UTC)
    messages = []
    for row in rows:
        command = Command(
            id=EventId.new(),
            number=row["command_number"],
            webhook_event_id=WebhookEventId.of_hex(row["id"].hex),
            processor_id=row["processor_id"],
            event_id=row["stripe_event_id"],
            event_type=row["event_type"],
            given_at=now,
        )
        messages.append(
            OutgoingMessage(
                id=command.id,
                topic=Topic.COMMANDS,
                key=row["subject"],
                sequence=command.number,
                type="WebhookEventReceived",
                payload=encode(command),
                occurred_at=now,
                headers=(headers or {}).get(command.event_id, {}),
            )
        )
    await outbox.append(connection, messages)


async def _standing(connection: Connection, event_ids: Sequence[str]) -> dict[str, UUID]:
    rows = await connection.fetch(SQL["find_ids"], event_ids)
    return {row["stripe_event_id"]: row["id"] for row in rows}


def _columns(events: Iterable[NewEvent]) -> Sequence[Sequence[object]]:
    rows = [
        (
            event.id.hex,
            event.event_id,
            event.processor_id,
            event.event_type,
            event.subject,
            event.body,
            event.body.decode(),
            event.signature_verified,
            event.occurred_at,
            event.created_at,
        )
        for event in events
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _open_event(row: Record) -> OpenEvent:
    return OpenEvent(
        id=WebhookEventId.of_hex(row["id"].hex),
        processor_id=row["processor_id"],
        event_id=row["stripe_event_id"],
        event_type=row["event_type"],
        body=row["raw_body"],
        state=State(row["state"]),
        attempts=row["attempts"],
        unmatched_checks=row["unmatched_checks"],
        created_at=row["created_at"],
    )


def _event(row: Record) -> WebhookEvent:
    payment_id, reason = row["payment_id"], row["failure_reason"]
    return WebhookEvent(
        id=WebhookEventId.of_hex(row["id"].hex),
        processor_id=row["processor_id"],
        event_id=row["stripe_event_id"],
        event_type=row["event_type"],
        body=row["raw_body"],
        payload=None if row["payload"] is None else json.loads(row["payload"]),
        signature_verified=row["signature_verified"],
        state=State(row["state"]),
        payment_id=None if payment_id is None else PaymentId.of_hex(payment_id.hex),
        attempts=row["attempts"],
        failure=None if reason is None else (Reason(reason), row["failure_message"]),
        occurred_at=row["occurred_at"],
        created_at=row["created_at"],
        processed_at=row["processed_at"],
    )
