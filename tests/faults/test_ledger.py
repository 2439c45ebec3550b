"""The ledger refuses, or is gone for a while, while people pay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.orchestrator.v1.posting_pb2 import POSTING_STATE_NEEDS_RECONCILIATION

from tests.faults.aftermath import come_to_rest, verdict
from tests.faults.conftest import LONG, Tell
from tests.faults.load import load
from tests.faults.scene import NAMES, Scene, scene, system_on
from tests.faults.turnstile import Turnstile, turnstile
from tests.torture.stage import Stage

_AWAY_SECONDS = 60.0 if LONG else 3.5
_BEFORE_SECONDS = 20.0 if LONG else 1.0
# The tries grow apart: after a minute's absence the next one may be a minute away.
_REST_SECONDS = 120.0 if LONG else 30.0

_WITHOUT_LEDGER = tuple(each for each in NAMES if each != "ledger")
_STATES = """
select state, array_agg(idempotency_key) as keys, max(try_count) as tries,
       array_agg('pay_' || replace(payment_id::text, '-', '')) as payments
  from payments.postings group by state
"""
_TOLD_OF = "select key from messaging.outbox where type = 'PaymentPostingRejected'"


@asynccontextmanager
async def _ledger_apart(stage: Stage) -> AsyncIterator[tuple[Scene, Turnstile]]:
    """The platform, whose ledger is behind a turnstile."""
    async with (
        system_on(stage, ("ledger",)) as ledger,
        turnstile(ledger) as gate,
        scene(stage, _WITHOUT_LEDGER, service_addresses=f"ledger={gate.address}") as there,
    ):
        yield there, gate


async def _reconciling(scene: Scene) -> list[Payment]:
    """What an operator finds who looks for payments that the ledger does not follow."""
    request = pb.ListPaymentsRequest(posting_states=[POSTING_STATE_NEEDS_RECONCILIATION])
    found: list[Payment] = []
    while True:
        page = await OrchestratorServiceStub(scene.channel).ListPayments(request)
        found += page.payments
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_a_ledger_that_is_gone_delays_bookings_and_nothing_else(
    shared_stage: Stage, tell: Tell
) -> None:
    async with _ledger_apart(shared_stage) as (there, gate):
        async with load(there) as meter:
            await meter.measure("undisturbed", _BEFORE_SECONDS)
            await gate.close()
            await meter.measure("ledger gone", _AWAY_SECONDS)
            rows = await shared_stage.owner.fetch(_STATES)
            (waiting,) = (row for row in rows if row["state"] == "pending")
            meter.phase = "ledger back"
            await gate.open()
        rest_seconds = await come_to_rest(shared_stage.owner, within_seconds=_REST_SECONDS)
        report = await verdict(there, shared_stage.owner, ledger=gate.ledger)
    (booked,) = await shared_stage.owner.fetch(_STATES)
    tell(
        [
            *meter.told(),
            f"{len(waiting['keys'])} postings waited, after {waiting['tries']} tries at most",
            f"rest {rest_seconds:.1f} s",
            report,
        ]
    )
    assert report.is_clean, report
    assert booked["state"] == "posted"
    assert set(waiting["keys"]) <= set(booked["keys"])
    assert not meter.failures
    assert there.told.calls["refund"]


async def test_what_the_ledger_refuses_is_shown_and_all_else_is_booked(
    shared_stage: Stage, tell: Tell
) -> None:
    owner = shared_stage.owner
    async with _ledger_apart(shared_stage) as (there, gate):
        gate.refuses = lambda draft: draft.idempotency_key[-1] in "02468ace"
        async with load(there) as meter:
            await meter.measure("refusing half", 2 * _BEFORE_SECONDS)
        await come_to_rest(owner, within_seconds=_REST_SECONDS)
        report = await verdict(there, owner, ledger=gate.ledger)
        shown = {payment.id for payment in await _reconciling(there)}
    postings = {row["state"]: row for row in await owner.fetch(_STATES)}
    told = {row["key"] for row in await owner.fetch(_TOLD_OF)}
    refused = postings["needs_reconciliation"]
    tell([*meter.told(), f"{len(gate.refused)} postings refused", report])
    assert report.is_clean, report
    assert postings.keys() == {"needs_reconciliation", "posted"}
    assert set(refused["keys"]) == gate.refused
    assert refused["tries"] == 1
    assert shown == told == set(refused["payments"])
    assert report.needs_reconciliation == len(shown)
