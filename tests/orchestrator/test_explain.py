"""ExplainPayment: the whole story of one payment, told from what is recorded."""

import asyncio
import re
from typing import Any

import pytest
from payments.core.v1.money_pb2 import Money
from payments.core.v1.operation_pb2 import Operation
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.processor.v1.processor_event_pb2 import ProcessorEvent, ProcessorEventType

from services.kernel.context import CaptureMethod, Severity, ValidationIssue
from services.kernel.errors import InvalidArgument, NotFound, Unavailable
from services.kernel.ids import MerchantId, PaymentId, WebhookEventId
from tests.orchestrator.conftest import House, ScriptedHouse, running_house, simulated
from tests.orchestrator.orders import about, execution, succeeded
from tests.orchestrator.stories import explain, sentences

AUTHORIZE = Operation.OPERATION_AUTHORIZE
REFUND = Operation.OPERATION_REFUND
CAPTURED = PaymentState.PAYMENT_STATE_CAPTURED
POSTED = PostingState.POSTING_STATE_POSTED


async def _booked(house: House, payment_id: str) -> None:
    async with asyncio.timeout(30):
        payment = await house.get(payment_id)
        while payment.posting_state != POSTED:
            await asyncio.sleep(0.01)
            payment = await house.get(payment_id)


_WHOLE = [
    "gateway: 100.00 USD by card was asked for, under the key order-17.",
    'gateway: amount came as "$100.00" and was read as "10000 USD": A symbol was read'
    " (amount.symbol).",
    "orchestrator: The payment was made, CREATED, because of request req_….",
    "orchestrator: The payment went from CREATED to CONFIRMING, because of request req_….",
    "plan: Version 7 of the configuration gave a plan of 1 step (all or nothing, automatic"
    " capture, platform fee 3.20 USD).",
    "plan: Step 0: 100.00 USD by card, at simulated.",
    "plan: Step 0: simulated is kept: number 1 in order (order).",
    "orchestrator: Attempt 1 was committed before anyone was asked: authorize and capture"
    " 100.00 USD at simulated.",
    "processor: Attempt 1: simulated was asked to authorize, and within 0 ms: it succeeded with"
    " 100.00 USD, as sim_…; 100.00 USD is taken.",
    "orchestrator: The payment went from CONFIRMING to AUTHORIZED, because of attempt 1.",
    "orchestrator: The payment went from AUTHORIZED to CAPTURED, because of attempt 1.",
    "orchestrator: The capture of 100.00 USD is owed to the ledger, under the key"
    " capture:step_…: booked since.",
    "ledger: Booked under capture:step_…: processor:simulated:clearing -100.00 USD,"
    " merchant:mer_…:payable 96.80 USD, platform:fees 3.20 USD.",
    "orchestrator: A refund of 40.00 USD was asked for: Broken.",
    "orchestrator: Attempt 2 was committed before anyone was asked: refund 40.00 USD at simulated.",
    "processor: Attempt 2: simulated was asked to refund, and within 0 ms: it succeeded with"
    " 40.00 USD, as simre_….",
    "orchestrator: The refund of 40.00 USD was paid out; 1.28 USD of the fee went back with it.",
    "orchestrator: The refund of 40.00 USD is owed to the ledger, under the key refund:rep_…:"
    " booked since.",
    "ledger: Booked under refund:rep_…: processor:simulated:clearing 40.00 USD,"
    " merchant:mer_…:payable -38.72 USD, platform:fees -1.28 USD.",
]

_ISSUE = ValidationIssue(
    rule="amount.symbol",
    severity=Severity.WARNING,
    field="amount",
    raw="$100.00",
    coerced="10000 USD",
    message="A symbol was read.",
)


async def test_a_payment_is_told_from_the_raw_field_to_the_journal(house: House) -> None:
    order = execution(issues=(_ISSUE,))
    payment = await house.execute(order)
    await _booked(house, payment.id)
    amount = Money(amount_minor=4_000, currency="USD")
    refund = pb.RefundPaymentRequest(**about(payment, "r-1"), amount=amount, reason="Broken.")
    await house.stub.RefundPayment(refund)
    await _booked(house, payment.id)
    story = await explain(house, payment.id)
    told = [re.sub(r"within \d+ ms", "within 0 ms", each) for each in sentences(story)]
    assert told == _WHOLE
    assert story.payment == await house.get(payment.id)
    assert (story.context, story.plan) == (order.context, order.plan)
    states = [PaymentState.Name(each.to_state)[14:] for each in story.transitions]
    assert states == ["CREATED", "CONFIRMING", "AUTHORIZED", "CAPTURED"]
    assert [each.attempt.operation for each in story.attempts] == [AUTHORIZE, REFUND]
    assert [each.transaction_id for each in story.postings] == [
        each.id for each in story.ledger_transactions
    ]
    assert [each.amount for each in story.refunds] == [amount]


async def test_the_lines_are_in_order_of_time_and_name_what_they_are_about(house: House) -> None:
    payment = await house.execute(execution())
    await _booked(house, payment.id)
    story = await explain(house, payment.id)
    moments = [each.occurred_at.ToNanoseconds() for each in story.timeline]
    assert moments == sorted(moments)
    named = {line.object_id for line in story.timeline}
    assert {each.attempt.id for each in story.attempts} <= named
    assert {each.id for each in story.ledger_transactions} <= named
    assert {each.id for each in story.postings} <= named


async def test_an_intent_has_a_story_without_a_plan(house: House) -> None:
    request = pb.CreatePaymentRequest(idempotency_key="order-17", context=execution().context)
    created = await house.stub.CreatePayment(request)
    story = await explain(house, created.payment.id)
    assert not story.HasField("plan")
    assert [line.source for line in story.timeline] == ["gateway", "orchestrator"]


async def test_what_processors_told_unasked_is_told(scripted: ScriptedHouse) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"))
    payment = await house.execute(execution())
    request = pb.ApplyProcessorEventRequest(
        idempotency_key="evt_1",
        event=ProcessorEvent(
            id="evt_1",
            processor_id="simulated",
            type=ProcessorEventType.PROCESSOR_EVENT_TYPE_DISPUTE_OPENED,
            native_type="charge.dispute.created",
            processor_reference="pi_1",
            object_id="dp_1",
            amount=Money(amount_minor=4_000, currency="USD"),
            fee=Money(amount_minor=1_500, currency="USD"),
            native_reason="fraudulent",
        ),
        webhook_event_id=WebhookEventId.new(),
    )
    request.event.occurred_at.GetCurrentTime()
    await house.stub.ApplyProcessorEvent(request)
    request.event.id = request.idempotency_key = "evt_2"
    await house.stub.ApplyProcessorEvent(request)
    story = await explain(house, payment.id)
    applied, _ = story.applied_events
    assert (applied.processor_event_id, applied.webhook_event_id) == (
        "evt_1",
        request.webhook_event_id,
    )
    assert applied.native_type == "charge.dispute.created"
    (dispute,) = story.disputes
    assert dispute.payment_id == payment.id
    told = sentences(story)
    assert any(
        each.startswith(
            "webhooks: simulated told of charge.dispute.created (evt_1), which was applied"
        )
        for each in told
    )
    assert any("(evt_2), which changed nothing: dp_" in each for each in told)
    assert "processor: The customer disputed 40.00 USD (fraudulent) at simulated; the dispute" in (
        " ".join(told)
    )
    assert any("from CAPTURED to DISPUTED" in each for each in told)


class _Away(LedgerServiceServicer):
    """A ledger that cannot be reached."""

    async def BatchPostTransactions(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise Unavailable("it is being moved")

    async def ListTransactions(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise Unavailable("it is being moved")


async def test_a_ledger_that_is_away_leaves_the_rest_of_the_story(application_url: str) -> None:
    away = _Away()  # type: ignore[abstract]  # it does nothing else
    async with running_house(application_url, simulated(), ledger=away) as house:
        payment = await house.execute(execution())
        async with asyncio.timeout(30):
            story = await explain(house, payment.id)
            while not story.postings[0].HasField("last_failure"):
                await asyncio.sleep(0.01)
                story = await explain(house, payment.id)
    told = sentences(story)
    assert told[-1] == (
        "ledger: The ledger cannot be asked now what it has booked: it is being moved."
    )
    assert "not booked yet after 1 try: it is being moved." in " ".join(told)
    assert len(story.attempts) == 1


async def test_a_manual_payment_tells_what_it_has_not_come_to(house: House) -> None:
    payment = await house.execute(execution(capture_method=CaptureMethod.MANUAL))
    story = await explain(house, payment.id)
    assert not story.postings
    assert any("manual capture" in each for each in sentences(story))


async def test_another_merchants_payment_is_refused_as_if_it_were_not_there(
    house: House,
) -> None:
    payment = await house.execute(execution())
    assert (await explain(house, payment.id, merchant_id=payment.merchant_id)).timeline
    told = []
    for payment_id, merchant_id in (
        (payment.id, MerchantId.new()),
        (PaymentId.new(), payment.merchant_id),
    ):
        with pytest.raises(NotFound) as refused:
            await explain(house, payment_id, merchant_id=merchant_id)
        told.append(refused.value.message.replace(payment_id, "…"))
    assert told == ["there is no payment …"] * 2


@pytest.mark.parametrize("payment_id", ["", "pay_1", "re_019aa5a0000070008000000000000001"])
async def test_an_id_of_nothing_is_refused(house: House, payment_id: str) -> None:
    with pytest.raises(InvalidArgument):
        await explain(house, payment_id)
