"""The outbox takes what a transaction writes, once per place in its key's order."""

import asyncpg
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime.database import Database
from services.runtime.messaging.message import PARTITIONS, partition_of
from services.runtime.messaging.outbox import trace_headers
from services.runtime.telemetry import Tracing
from tests.messaging.system import count, message, publish


async def test_two_messages_cannot_take_the_same_place_of_a_key(database: Database) -> None:
    await publish(database, [message("pay_1", 1)])
    with pytest.raises(asyncpg.UniqueViolationError, match="outbox_key_sequence_key"):
        await publish(database, [message("pay_1", 1)])


async def test_an_event_cannot_be_written_twice(database: Database) -> None:
    once = message("pay_1", 1)
    await publish(database, [once])
    with pytest.raises(asyncpg.UniqueViolationError, match="outbox_pkey"):
        await publish(database, [message("pay_2", 1, event_id=once.id)])


async def test_messages_lie_in_the_order_of_their_sequence_however_they_were_given(
    database: Database,
) -> None:
    await publish(database, [message("pay_1", n) for n in (3, 1, 2)])
    async with database.connection() as connection:
        rows = await connection.fetch("select sequence from messaging.outbox order by position")
    assert [row["sequence"] for row in rows] == [1, 2, 3]


async def test_nothing_to_append_is_nothing_to_do(database: Database) -> None:
    await publish(database, [])
    assert await count(database, "select count(*) from messaging.outbox") == 0


def test_partitions_never_change_for_a_key() -> None:
    # Written down: a release that moved keys would have two holders for one during an upgrade.
    assert [partition_of(key) for key in ("pay_1", "pay_2", "mer_é", "x" * 200)] == [10, 0, 1, 6]
    assert {partition_of(f"pay_{n}") for n in range(500)} == set(range(PARTITIONS))


def test_headers_carry_the_trace_that_is_recorded_and_nothing_without_one() -> None:
    tracing = Tracing("trial", sample_ratio=1.0, exporters=[InMemorySpanExporter()])
    with Tracing("trial").span("nobody looks"):
        assert trace_headers() == {}
    with tracing.span("a change") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        assert trace_id in trace_headers()["traceparent"]
    tracing.shutdown()
