"""Group commit keeps each of its promises on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.kernel.errors import (
    Conflict,
    Internal,
    ResourceExhausted,
    Unavailable,
)
from services.runtime.database import Database, Isolation
from services.runtime.group_commit import Admission, GroupCommit, Session
from services.runtime.group_commit.queue import CommitQueue, Waiting
from tests.runtime.cutting_proxy import Cut, CuttingProxy
from tests.runtime.trial_store import TrialStore, Write, count


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[GroupCommit[Write, int]]:
    writer = GroupCommit(database, TrialStore(), name="trial")
    yield writer
    await writer.close()


async def test_an_answer_comes_only_after_the_commit(
    database: Database, writer: GroupCommit[Write, int]
) -> None:
    assert await writer.submit(Write("a", amount=7)) == 7
    assert await count(database, "select sum(amount) from trial.writes") == 7


async def test_concurrent_units_share_transactions(writer: GroupCommit[Write, int]) -> None:
    await asyncio.gather(*(writer.submit(Write(f"a{number}")) for number in range(1000)))
    assert writer.counts.units == 1000
    assert writer.counts.batches <= 10


async def test_of_a_thousand_units_exactly_the_fifty_bad_ones_fail(
    database: Database, writer: GroupCommit[Write, int]
) -> None:
    amounts = [0 if number % 20 == 0 else 1 for number in range(1000)]
    answers = await asyncio.gather(
        *(writer.submit(Write(f"a{n}", amount=amount)) for n, amount in enumerate(amounts)),
        return_exceptions=True,
    )
    failed = [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)]
    assert failed == [n for n, amount in enumerate(amounts) if amount == 0]
    assert len(failed) == 50
    refusals = [answer for answer in answers if isinstance(answer, Internal)]
    assert {type(refusal.__cause__) for refusal in refusals} == {asyncpg.CheckViolationError}
    assert len(refusals) == 50
    assert await count(database, "select count(*) from trial.writes") == 950


async def test_units_of_one_aggregate_are_all_applied_in_order(
    database: Database, writer: GroupCommit[Write, int]
) -> None:
    amounts = range(1, 51)
    totals = await asyncio.gather(*(writer.submit(Write("one", amount)) for amount in amounts))
    assert totals == [sum(range(1, amount + 1)) for amount in amounts]
    async with database.connection() as connection:
        rows = await connection.fetch("select amount from trial.writes order by id")
    assert [row["amount"] for row in rows] == list(amounts)
    assert writer.counts.batches == 50


async def test_a_batch_holds_one_unit_of_an_aggregate_and_the_others_wait() -> None:
    queue: CommitQueue[Write, int] = CommitQueue(capacity=10, batch_size=10, batch_weight=10)
    for amount, aggregate in enumerate(("one", "one", "two")):
        unit, answered = Write(aggregate, amount), asyncio.get_running_loop().create_future()
        queue.put(Waiting(unit, (aggregate,), 1, Admission.INTENT, answered))
    batches = []
    while len(queue):
        batch = queue.take_batch()
        batches.append([waiting.unit.amount for waiting in batch])
        queue.done(batch)
    assert batches == [[0, 2], [1]]


async def test_one_of_many_wins_a_claim_and_the_others_are_told(
    database: Database, writer: GroupCommit[Write, int]
) -> None:
    answers = await asyncio.gather(
        *(writer.submit(Write(f"a{n}", claim="the key")) for n in range(100)),
        return_exceptions=True,
    )
    assert sum(answer == 1 for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 99
    assert await count(database, "select count(*) from trial.writes") == 1


@pytest.mark.parametrize("isolation", Isolation)
async def test_two_writers_agree_on_who_won_a_claim(
    database: Database, isolation: Isolation
) -> None:
    writers = [
        GroupCommit(database, TrialStore(), name=f"trial {n}", isolation=isolation)
        for n in range(2)
    ]
    answers = await asyncio.gather(
        *(
            writers[n % 2].submit(Write(f"{n // 2}:{n % 2}", claim=f"key {n // 2}"))
            for n in range(400)
        ),
        return_exceptions=True,
    )
    for writer in writers:
        await writer.close()
    pairs = list(zip(answers[::2], answers[1::2], strict=True))
    assert all({type(one), type(other)} == {int, Conflict} for one, other in pairs)
    assert await count(database, "select count(*) from trial.writes") == 200


async def test_writers_that_take_turns_by_advisory_lock_never_collide(database: Database) -> None:
    writers = [
        GroupCommit(
            database,
            TrialStore(),
            name=f"trial {n}",
            isolation=Isolation.SERIALIZABLE,
            advisory_lock=77,
            batch_size=10,
        )
        for n in range(2)
    ]
    # Both writers add to the same counters: without the lock every other batch fails with 40001.
    await asyncio.gather(
        *(writers[n % 2].submit(Write(f"a{n % 10}", amount=n + 1)) for n in range(400))
    )
    for writer in writers:
        await writer.close()
    assert [writer.counts.serialization_failures for writer in writers] == [0, 0]
    assert await count(database, "select count(*) from trial.writes") == 400
    assert await count(database, "select sum(total) from trial.counters") == sum(range(401))


async def test_a_full_queue_refuses_intents_and_takes_facts(database: Database) -> None:
    writer = GroupCommit(database, TrialStore(), name="trial", capacity=10)
    intents = [asyncio.create_task(writer.submit(Write(f"i{n}"))) for n in range(15)]
    facts = [asyncio.create_task(writer.submit(Write(f"f{n}"), Admission.FACT)) for n in range(15)]
    outcomes = await asyncio.gather(*intents, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ResourceExhausted)]
    assert len(refused) == 5
    assert all(error.retry_after for error in refused)
    assert await asyncio.gather(*facts) == [1] * 15
    await writer.close()


async def test_facts_are_written_before_intents_that_came_earlier(database: Database) -> None:
    writer = GroupCommit(database, TrialStore(), name="trial", batch_size=5)
    intents = [writer.submit(Write(f"i{n}")) for n in range(5)]
    facts = [writer.submit(Write(f"f{n}"), Admission.FACT) for n in range(5)]
    await asyncio.gather(*intents, *facts)
    await writer.close()
    async with database.connection() as connection:
        rows = await connection.fetch("select aggregate from trial.writes order by id")
    assert [row["aggregate"][0] for row in rows] == ["f"] * 5 + ["i"] * 5


async def test_an_intent_whose_caller_left_before_it_was_begun_is_not_written(
    database: Database, writer: GroupCommit[Write, int]
) -> None:
    first = asyncio.create_task(writer.submit(Write("a")))
    left = asyncio.create_task(writer.submit(Write("a", amount=100)))
    fact = asyncio.create_task(writer.submit(Write("a", amount=1000), Admission.FACT))
    await asyncio.sleep(0)
    left.cancel()
    fact.cancel()
    await first
    await writer.submit(Write("a"))
    assert await count(database, "select sum(amount) from trial.writes") == 1002


async def test_closing_writes_what_waits_and_refuses_newcomers(database: Database) -> None:
    writer = GroupCommit(database, TrialStore(), name="trial")
    waiting = [asyncio.create_task(writer.submit(Write("same"))) for _ in range(20)]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*waiting) == list(range(1, 21))
    with pytest.raises(Unavailable):
        await writer.submit(Write("late"))


async def test_a_database_that_stays_away_is_told_within_the_writers_patience(
    database: Database, tmp_path: Path
) -> None:
    nowhere = Database(
        f"postgresql://nobody@/none?host={tmp_path}",
        None,  # type: ignore[arg-type]  # group commit does not use the pool
        patience=timedelta(seconds=1),
    )
    writer = GroupCommit(nowhere, TrialStore(), name="trial", patience=timedelta(seconds=0.2))
    with pytest.raises(Unavailable) as refusal:
        await writer.submit(Write("a"))
    assert refusal.value.retry_after
    await writer.close()


async def test_a_connection_cut_inside_commit_never_makes_a_caller_hear_a_lie(
    database: Database, application_url: str, server_socket: Path, short_tmp_path: Path
) -> None:
    async with CuttingProxy(server_socket, short_tmp_path, seed=20) as proxy:
        through_proxy = Database(
            application_url.replace(str(server_socket.parent), str(short_tmp_path)),
            None,  # type: ignore[arg-type]  # group commit does not use the pool
            patience=timedelta(seconds=5),
        )
        writer = GroupCommit(through_proxy, TrialStore(), name="cut")
        for cut in range(100):
            proxy.cut_next()
            answers = await asyncio.gather(
                *(writer.submit(Write(f"{cut}:{n}")) for n in range(5)), return_exceptions=True
            )
            assert answers == [1] * 5
        await writer.close()
    assert len(proxy.cuts_made) == 100
    assert set(proxy.cuts_made) == set(Cut)
    assert await count(database, "select count(*) from trial.writes") == 500


async def test_a_strangers_transaction_id_is_no_proof_of_our_commit(database: Database) -> None:
    # After a crash the server hands ids whose records never reached the disk out again.
    session = Session(
        database, name="trial", isolation=Isolation.READ_COMMITTED, advisory_lock=None
    )
    async with database.connection() as connection:
        committed_by_another = await connection.fetchval("select pg_current_xact_id()::text")
        status = await connection.fetchval(
            "select pg_xact_status($1::text::xid8)", committed_by_another
        )
    assert status == "committed"
    session._batch += 1
    assert not await session._find_out(committed_by_another)


async def test_a_transaction_id_the_server_never_gave_out_is_over(database: Database) -> None:
    session = Session(
        database, name="trial", isolation=Isolation.READ_COMMITTED, advisory_lock=None
    )
    session._batch += 1
    assert not await session._find_out("999999999")
