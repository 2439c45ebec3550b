"""The sandbox's durable memory: SQLite, written by group commit.

What a request changed is visible to the next request at once, from memory, but no answer leaves
before the commit it rests upon. A batch is whatever gathered while the last commit ran, so an idle
sandbox adds no wait and a busy one shares each fsync among many requests.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from sandbox import codec
from sandbox.domain.work import Entity
from sandbox.rows import Attempt, Delivery, ListQuery, Page, StoredAnswer

E = TypeVar("E", bound=Entity)
Row = tuple[Any, ...]

_log = logging.getLogger(__name__)

_SCHEMA: Final = Path(__file__).with_name("schema.sql")

_PUT_ENTITY: Final = """
    insert into entities (id, kind, account, sequence, created, payment_intent, charge, customer,
                          source, due_at, data)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (id) do update set customer = excluded.customer, due_at = excluded.due_at,
                                   data = excluded.data
"""
_PUT_ATTEMPT: Final = f"insert into attempts values ({', '.join('?' * 14)})"  # noqa: S608 (placeholders)
_PUT_ANSWER: Final = "insert or replace into answers values (?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_DELIVERY: Final = "insert or replace into deliveries values (?, ?, ?, ?, ?, ?, ?)"
_PUT_RUN: Final = "insert or replace into run values (?, ?)"


_ANSWER_COLUMNS: Final = tuple(column.name for column in fields(StoredAnswer))
_GET_ANSWER: Final = (
    f"select {', '.join(_ANSWER_COLUMNS)} from answers where account = ? and key = ?"  # noqa: S608
)


@dataclass
class _Batch:
    entities: dict[str, Entity] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    answers: list[StoredAnswer] = field(default_factory=list)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    run: dict[str, str] = field(default_factory=dict)
    durable: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def forget(self) -> None:
        """Drop what was gathered, but keep those who wait for it waiting for the commit."""
        for gathered in (self.entities, self.attempts, self.answers, self.deliveries, self.run):
            gathered.clear()


class Storage:
    """Entities, attempts, answers and deliveries, in one SQLite file."""

    def __init__(self, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._gathering = _Batch()
        self._committing: _Batch | None = None
        self._work_to_do = asyncio.Event()
        self._commit_alone = asyncio.Lock()
        self._sequence = self._last_sequence()
        self._flusher = asyncio.create_task(self._flush_forever())

    @classmethod
    def open(cls, directory: Path) -> Storage:
        """Open the store of a directory, made if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "sandbox.sqlite3"
        # Only the commit runs in another thread, and never two at once.
        writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        writer.execute("pragma journal_mode = wal")
        writer.execute("pragma synchronous = full")
        writer.execute("pragma wal_autocheckpoint = 10000")
        writer.executescript(_SCHEMA.read_text())
        return cls(writer, sqlite3.connect(path, isolation_level=None))

    def _last_sequence(self) -> int:
        tables = (("entities", "sequence"), ("attempts", "sequence"), ("deliveries", "id"))
        lasts = (
            self._reader.execute(f"select max({column}) from {table}").fetchone()[0]  # noqa: S608
            for table, column in tables
        )
        return max(last or 0 for last in lasts)

    async def close(self) -> None:
        """Write what is left and close the file."""
        await self.durable()
        self._flusher.cancel()
        self._reader.close()
        self._writer.close()

    # Reading.

    def _unwritten(self) -> Iterator[_Batch]:
        yield self._gathering
        if self._committing is not None:
            yield self._committing

    def find(self, kind: type[E], entity_id: str) -> E | None:
        """The entity of this id as the latest request left it."""
        for batch in self._unwritten():
            if (held := batch.entities.get(entity_id)) is not None:
                return held if isinstance(held, kind) else None
        row = self._reader.execute(
            "select data from entities where id = ? and kind = ?", (entity_id, kind.kind)
        ).fetchone()
        return None if row is None else codec.decode(kind, row[0])

    def next_sequence(self) -> int:
        """A number nothing in this store has had before."""
        self._sequence += 1
        return self._sequence

    def page(self, kind: type[E], account: str, query: ListQuery) -> Page:
        """One page of what has been written; await `durable` first to miss nothing."""
        clauses, values = ["kind = ?", "account = ?"], [kind.kind, account]
        for clause, clause_values in query.conditions:
            clauses.append(clause)
            values.extend(clause_values)
        backwards = query.before is not None
        for edge, sign in ((query.after, "<"), (query.before, ">")):
            if edge is not None:
                clauses.append(f"(created, sequence) {sign} (?, ?)")
                values.extend((edge.created, edge.sequence))  # type: ignore[arg-type]  # SQLite's types
        order = "asc" if backwards else "desc"
        # Clauses are constants of this package; values are bound.
        rows = self._reader.execute(
            f"select data from entities where {' and '.join(clauses)}"  # noqa: S608
            f" order by created {order}, sequence {order} limit {query.limit + 1}",
            values,
        ).fetchall()
        found = [codec.decode(kind, data) for (data,) in rows[: query.limit]]
        if backwards:
            found.reverse()
        return Page(entities=tuple(found), has_more=len(rows) > query.limit)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """What a query finds among what has been written."""
        return self._reader.execute(query, values).fetchall()

    def answer(self, account: str, key: str) -> StoredAnswer | None:
        """The first answer to an idempotency key."""
        row = self._reader.execute(_GET_ANSWER, (account, key)).fetchone()
        return None if row is None else StoredAnswer(**dict(zip(_ANSWER_COLUMNS, row, strict=True)))

    def run_value(self, name: str) -> str | None:
        """A fact about the whole run (its seed, its clock), if it was ever set."""
        for batch in self._unwritten():
            if name in batch.run:
                return batch.run[name]
        row = self._reader.execute("select value from run where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    # Writing.

    def add(
        self,
        *,
        entities: Sequence[Entity] = (),
        attempt: Attempt | None = None,
        answer: StoredAnswer | None = None,
        deliveries: Sequence[Delivery] = (),
        run: dict[str, str] | None = None,
    ) -> None:
        """Make changes visible now and durable with the next commit; all of them or none."""
        batch = self._gathering
        batch.entities.update((entity.id, entity) for entity in entities)
        batch.deliveries.update((delivery.id, delivery) for delivery in deliveries)
        batch.run.update(run or {})
        if attempt is not None:
            batch.attempts.append(attempt)
        if answer is not None:
            batch.answers.append(answer)
        self._work_to_do.set()

    async def durable(self) -> None:
        """Return once everything added so far is on disk."""
        if self._work_to_do.is_set():
            await asyncio.shield(self._gathering.durable)
        elif self._committing is not None:
            await asyncio.shield(self._committing.durable)

    async def erase(self) -> None:
        """Forget everything, as though the directory were new."""
        async with self._commit_alone:
            for table in ("run", "entities", "attempts", "answers", "deliveries"):
                self._writer.execute(f"delete from {table}")  # noqa: S608
            self._gathering.forget()
            self._sequence = 0

    async def forget_answers_before(self, moment: int) -> None:
        """Let idempotency keys expire."""
        async with self._commit_alone:
            self._writer.execute("delete from answers where created <= ?", (moment,))

    async def _flush_forever(self) -> None:
        while True:
            await self._work_to_do.wait()
            async with self._commit_alone:
                await self._flush()

    async def _flush(self) -> None:
        self._work_to_do.clear()
        batch, self._gathering = self._gathering, _Batch()
        self._committing = batch
        try:
            self._write(batch)
            await asyncio.to_thread(self._writer.execute, "commit")
        except sqlite3.Error as failure:
            # What is in memory is now ahead of the disk for good: nothing may be answered again.
            _log.critical("the sandbox cannot write its record: %s", failure)
            os._exit(1)
        self._committing = None
        batch.durable.set_result(None)

    def _write(self, batch: _Batch) -> None:
        run = self._writer
        run.execute("begin immediate")
        run.executemany(_PUT_ENTITY, map(_entity_row, batch.entities.values()))
        run.executemany(_PUT_ATTEMPT, map(_attempt_row, batch.attempts))
        run.executemany(_PUT_ANSWER, map(_answer_row, batch.answers))
        run.executemany(_PUT_DELIVERY, map(_delivery_row, batch.deliveries.values()))
        run.executemany(_PUT_RUN, batch.run.items())


def _entity_row(entity: Entity) -> Row:
    return (
        entity.id,
        entity.kind,
        entity.account,
        entity.sequence,
        entity.created,
        getattr(entity, "payment_intent", None),
        getattr(entity, "charge", None),
        getattr(entity, "customer", None),
        getattr(entity, "source", None),
        entity.due_at,
        codec.encode(entity).decode(),
    )


_attempt_row = attrgetter(*(column.name for column in fields(Attempt)))
_answer_row = attrgetter(*_ANSWER_COLUMNS)
_delivery_row = attrgetter(*(column.name for column in fields(Delivery)))
