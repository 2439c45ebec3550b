"""Connections or places in the queue are fewer than callers: who finds none hears when to come."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

from oracle import Report
from services.kernel.errors import Reason, ResourceExhausted, SwitchyardError, Unavailable
from services.orchestrator.store import payments as payments_store
from services.runtime.database import Database
from services.runtime.group_commit import GroupCommit
from services.runtime.rpc import typed_errors
from tests.faults.aftermath import come_to_rest, verdict
from tests.faults.conftest import LONG, Tell
from tests.faults.load import load
from tests.faults.scene import Scene, scene
from tests.orchestrator.orders import execution
from tests.torture.outside import ACCOUNTS
from tests.torture.stage import Stage

_POOL_SIZE = 2
_PATIENCE_SECONDS = 1.0
_FEW_SECONDS = 20.0 if LONG else 1.5
_NONE_SECONDS = 20.0 if LONG else 2.5
_ASKING = 40
# How much longer than the patience a refusal may take on a machine that has much else to do.
_SLACK_SECONDS = 15.0
_PLACES = 5
_RUSH = 300 if LONG else 60


@dataclass(frozen=True)
class Asked:
    """How one who asked after a payment fared."""

    refusal: SwitchyardError | None
    seconds: float

    @property
    def is_told_when_to_come(self) -> bool:
        """Whether it was answered, or refused for want of a connection in time."""
        if self.refusal is None:
            return True
        return (
            isinstance(self.refusal, Unavailable)
            and self.refusal.reason is Reason.DATABASE_BUSY
            and self.refusal.retry_after is not None
            and self.seconds < _PATIENCE_SECONDS + _SLACK_SECONDS
        )


async def _ask_after(there: Scene, payment_id: str) -> Asked:
    began_at, refusal = time.monotonic(), None
    request = pb.GetPaymentRequest(payment_id=payment_id)
    try:
        with typed_errors():
            await OrchestratorServiceStub(there.channel).GetPayment(request)
    except SwitchyardError as error:
        refusal = error
    return Asked(refusal, time.monotonic() - began_at)


async def _ask_meanwhile(there: Scene, seconds: float) -> Sequence[Asked]:
    """What many are told who ask for so long after one payment."""
    payment_id = next(iter(there.told.payments))
    asked: list[Asked] = []
    over_at = time.monotonic() + seconds
    while time.monotonic() < over_at:
        asked += await asyncio.gather(*(_ask_after(there, payment_id) for _ in range(_ASKING)))
    return asked


@asynccontextmanager
async def _all_taken(database: Database) -> AsyncIterator[None]:
    """Every connection is lent to one who does nothing with it."""
    async with AsyncExitStack() as stack:
        taken = 0
        while taken < _POOL_SIZE:
            # Others want them too: who comes in vain here comes again, like everybody.
            with suppress(Unavailable):
                await stack.enter_async_context(database.connection())
                taken += 1
        yield


async def _settled(there: Scene) -> Report:
    owner = there.stage.owner
    await come_to_rest(owner, within_seconds=60)
    return await verdict(there, owner)


async def test_a_pool_smaller_than_the_load_makes_callers_wait_and_breaks_no_payment(
    shared_stage: Stage, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = timedelta(seconds=_PATIENCE_SECONDS)
    small = partial(Database.connect, pool_size=_POOL_SIZE, patience=patience)
    monkeypatch.setattr(Database, "connect", small)
    # A message whose handler finds no connection once would be a dead letter.
    async with scene(shared_stage, consumer_tries=1) as there:
        async with load(there) as meter:
            await meter.measure("two connections", _FEW_SECONDS)
            asked = await _ask_meanwhile(there, _FEW_SECONDS)
            meter.phase = "no connection"
            async with _all_taken(there.system.database):
                refused = await _ask_meanwhile(there, _NONE_SECONDS)
            meter.phase = "two connections again"
        report = await _settled(there)
    tell(
        [
            *meter.told(),
            f"with two connections {_fared(asked)}",
            f"with none {_fared(refused)}",
            report,
        ]
    )
    assert report.is_clean, report
    assert any(each.refusal is None for each in asked)
    assert all(each.is_told_when_to_come for each in (*asked, *refused))
    assert all(each.refusal is not None for each in refused)
    assert all(each.seconds >= _PATIENCE_SECONDS * 0.9 for each in refused)


def _fared(asked: Sequence[Asked]) -> str:
    refused = sum(each.refusal is not None for each in asked)
    longest = max(each.seconds for each in asked)
    return f"{len(asked)} asked, {refused} were refused, the longest waited {longest:.2f} s"


async def test_a_queue_smaller_than_the_load_refuses_the_rest_with_a_time_to_come_again(
    shared_stage: Stage, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments_store, "GroupCommit", partial(GroupCommit, capacity=_PLACES))
    refusals: list[SwitchyardError] = []

    async def pay(there: Scene, number: int) -> None:
        key = f"rush {number}"
        request = execution(key, processors=tuple(ACCOUNTS), user_id=key)
        while True:
            try:
                with typed_errors():
                    answer = await OrchestratorServiceStub(there.channel).ExecutePlan(request)
            except (ResourceExhausted, Unavailable) as refusal:
                refusals.append(refusal)
                await asyncio.sleep(random.uniform(0, 0.5))
            else:
                there.told.note("authorize", answer)
                return

    async with scene(shared_stage) as there:
        await asyncio.gather(*(pay(there, number) for number in range(_RUSH)))
        report = await _settled(there)
    tell([f"{_RUSH} paid at once, {len(refusals)} times one was refused", report])
    assert report.is_clean, report
    assert report.payments == {"captured": _RUSH}
    assert Reason.QUEUE_FULL in {each.reason for each in refusals}
    assert all(each.retry_after for each in refusals)
