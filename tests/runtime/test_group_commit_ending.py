"""Group commit's callers hear something, and within a bound, however the writer ends."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from pydantic import SecretStr

from services.kernel.errors import Reason, Unavailable
from services.runtime.database import Connection, Database
from services.runtime.group_commit import GroupCommit
from services.runtime.settings import Settings
from services.system import open_system
from tests.ledger.messages import sale
from tests.runtime.cutting_proxy import COMMIT, CuttingProxy
from tests.runtime.trial_store import TrialStore, Write, count, sessions, until_no_session

Task = asyncio.Task[int]


class GatedStore(TrialStore):
    """Writes only once its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()

    async def write(self, connection: Connection, units: Sequence[Write]) -> Sequence[int]:
        self.begun.set()
        await self.gate.wait()
        return await super().write(connection, units)


def _nowhere(folder: Path) -> Database:
    return Database(
        f"postgresql://nobody@/none?host={folder}",
        None,  # type: ignore[arg-type]  # group commit does not use the pool
        patience=timedelta(seconds=1),
    )


def _submit(writer: GroupCommit[Write, int], *aggregates: str) -> list[Task]:
    return [asyncio.create_task(writer.submit(Write(aggregate))) for aggregate in aggregates]


async def _refusals(waiting: Sequence[Task]) -> list[Unavailable]:
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert len(refusals) == len(outcomes), outcomes
    assert all(refusal.retry_after for refusal in refusals)
    return refusals


async def test_a_cancelled_close_leaves_the_writer_at_work(database: Database) -> None:
    store = GatedStore()
    writer = GroupCommit(database, store, name="trial")
    waiting = _submit(writer, "same", "same")
    await store.begun.wait()
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    store.gate.set()
    async with asyncio.timeout(30):
        assert await asyncio.gather(*waiting) == [1, 2]
    await writer.close()


async def test_a_writer_that_is_cancelled_tells_everyone_and_writes_nothing(
    database: Database,
) -> None:
    store = GatedStore()
    writer = GroupCommit(database, store, name="trial")
    waiting = _submit(writer, "same", "same")
    await store.begun.wait()
    assert writer._task is not None
    writer._task.cancel()
    refusals = await _refusals(waiting)
    assert {refusal.reason for refusal in refusals} == {Reason.SHUTTING_DOWN}
    with pytest.raises(Unavailable):
        await writer.submit(Write("late"))
    await writer.close()
    assert await count(database, "select count(*) from trial.writes") == 0


async def test_closing_ends_within_its_patience_though_the_database_is_away(
    tmp_path: Path,
) -> None:
    writer = GroupCommit(
        _nowhere(tmp_path),
        TrialStore(),
        name="trial",
        patience=timedelta(hours=1),
        closing_patience=timedelta(seconds=0.2),
    )
    waiting = _submit(writer, "same", "same", "other")
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await writer.close()
    await _refusals(waiting)


async def test_closing_in_doubt_tells_apart_who_may_have_been_written(
    database: Database, application_url: str, server_socket: Path, short_tmp_path: Path
) -> None:
    async with CuttingProxy(server_socket, short_tmp_path, seed=1) as proxy:
        through_proxy = Database(
            application_url.replace(str(server_socket.parent), str(short_tmp_path)),
            None,  # type: ignore[arg-type]  # group commit does not use the pool
            patience=timedelta(seconds=5),
        )
        writer = GroupCommit(
            through_proxy, TrialStore(), name="cut", closing_patience=timedelta(seconds=0.2)
        )
        proxy.fall_silent_after(COMMIT)
        waiting = _submit(writer, "same", "same")
        await proxy.is_silent.wait()
        async with asyncio.timeout(10):
            await writer.close()
        in_doubt, behind = await _refusals(waiting)
    assert in_doubt.reason is Reason.DATABASE_UNAVAILABLE
    assert "not known" in in_doubt.message
    assert behind.reason is Reason.SHUTTING_DOWN
    assert await count(database, "select count(*) from trial.writes") == 1


async def test_waits_for_a_database_that_is_away_do_not_add_up(tmp_path: Path) -> None:
    patience_seconds = 1.5
    writer = GroupCommit(
        _nowhere(tmp_path),
        TrialStore(),
        name="trial",
        patience=timedelta(seconds=patience_seconds),
    )
    begun_at = time.monotonic()
    # Of one aggregate, so that each would be a batch of its own.
    refusals = await _refusals(_submit(writer, "same", "same", "same"))
    assert time.monotonic() - begun_at < 2.5 * patience_seconds
    assert {refusal.reason for refusal in refusals} == {Reason.DATABASE_UNAVAILABLE}
    await writer.close()


async def test_a_ledger_that_ends_by_an_error_closes_its_writer(
    application_url: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=SecretStr(application_url), switchyard_home=tmp_path)
    database = await Database.connect(application_url, application_name="onlooker")

    async def serve_and_fail() -> None:
        async with open_system(settings, ["ledger"]) as system:
            await LedgerServiceStub(system.channel).PostTransaction(sale("k"), timeout=30)
            assert await sessions(database, "ledger writer") == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await serve_and_fail()
    await until_no_session(database, "ledger writer")
    await database.close()
