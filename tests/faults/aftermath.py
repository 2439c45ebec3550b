"""What is asked once a fault is over: whether all has come to rest, and is as it must be."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState

from oracle import Bounds, Report, Violation, consult
from services.runtime.database import Connection, Record
from tests.faults.scene import Scene
from tests.torture.told import may_have_become

_LOOK_SECONDS: Final = 0.1
_NO_PATIENCE: Final = Bounds(work=timedelta(0), in_doubt=timedelta(0))

_UNREST: Final = """
select (select count(*) from payments.payments where due_at is not null) as payments,
       (select count(*) from payments.postings where state = 'pending') as postings,
       (select count(*) from payments.idempotency where answer is null) as calls,
       (select count(*) from messaging.outbox where relayed_at is null) as unpublished,
       (select count(*) from messaging.inbox where state = 'waiting') as unhandled,
       (select count(*) from messaging.outbox
         where topic = 'payment.events'
           and not exists (select from torture.heard where heard.event_id = outbox.id)) as unheard
"""
_HEARD_TWICE: Final = """
select event_id, type, count(*) as count from torture.heard group by 1, 2 having count(*) > 1
"""
_OUT_OF_ORDER: Final = """
select key, sequence, before from (
    select key, sequence, lag(sequence) over (partition by key order by position) as before
      from torture.heard) as heard
 where sequence <= before
"""
_STANDING: Final = """
select 'pay_' || replace(payment.id::text, '-', '') as id, payment.state,
       coalesce(sum(step.captured), 0)::bigint as captured
  from payments.payments as payment
  left join payments.steps as step on step.payment_id = payment.id
 group by payment.id
"""
_REFUNDS: Final = "select 're_' || replace(id::text, '-', '') as id from payments.refunds"


async def come_to_rest(owner: Connection, *, within_seconds: float) -> float:
    """Wait until nothing is under way any more; how long that took."""
    began_at = time.monotonic()
    while left := await _unrest(owner):
        waited_seconds = time.monotonic() - began_at
        assert waited_seconds < within_seconds, (
            f"after {waited_seconds:.0f} s there is still {left}"
        )
        await asyncio.sleep(_LOOK_SECONDS)
    return time.monotonic() - began_at


async def _unrest(owner: Connection) -> Mapping[str, int]:
    row = await owner.fetchrow(_UNREST)
    assert row is not None
    return {what: count for what, count in row.items() if count}


async def verdict(
    scene: Scene, owner: Connection, *, ledger: LedgerServiceStub | None = None
) -> Report:
    """What the oracle says with no patience left, the witness, and those who called."""
    report = await consult(
        owner,
        await scene.stage.outside.record(),
        ledger=ledger or LedgerServiceStub(scene.channel),
        bounds=_NO_PATIENCE,
    )
    more = [
        *[each async for each in _heard_wrong(owner)],
        *[each async for each in _told_wrong(scene, owner)],
    ]
    return replace(report, violations=(*report.violations, *more))


async def _heard_wrong(owner: Connection) -> AsyncIterator[Violation]:
    """Whether each event had its effect once, and those of a payment in their order."""
    for row in await owner.fetch(_HEARD_TWICE):
        message = f"{row['type']} had its effect {row['count']} times"
        yield Violation("effect.twice", row["event_id"], message)
    for row in await owner.fetch(_OUT_OF_ORDER):
        message = f"event {row['sequence']} came after event {row['before']}"
        yield Violation("effect.order", row["key"], message)


async def _told_wrong(scene: Scene, owner: Connection) -> AsyncIterator[Violation]:
    """Whether what callers were told has come about."""
    for problem in scene.told.problems:
        yield Violation("told.wrong", "caller", problem)
    rows = {row["id"]: row for row in await owner.fetch(_STANDING)}
    for payment in scene.told.payments.values():
        difference = _difference(payment, rows.get(payment.id))
        if difference is not None:
            yield Violation("told.payment", payment.id, difference)
    refunds = {row["id"] for row in await owner.fetch(_REFUNDS)}
    for refund_id in scene.told.refunds.keys() - refunds:
        yield Violation("told.refund", refund_id, "was told of, and is not there")


def _difference(payment: Payment, row: Record | None) -> str | None:
    told = PaymentState.Name(payment.state).removeprefix("PAYMENT_STATE_").lower()
    if row is None:
        return f"was told of as {told}, and is not there"
    if not may_have_become(told, row["state"]):
        return f"was told of as {told}, and is {row['state']}"
    if row["captured"] < payment.amount_captured.amount_minor:
        return f"{payment.amount_captured.amount_minor} was told of as captured"
    return None
