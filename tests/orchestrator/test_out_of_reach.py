"""A processor that is out of reach when a hold is to be taken or let go, and what it answers later.

That nothing was sent is no refusal: a hold would stand for good, or one that can be taken be lost.
"""

import asyncio
from collections.abc import Callable

import pytest
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState

from services.kernel.context import CaptureMethod, SplitPolicy
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import FactKind
from services.orchestrator.domain.attempt import KEY_WINDOW, LOOKUPS_MAX, Execution
from services.orchestrator.domain.state import AttemptState, Operation, StepState
from services.orchestrator.domain.state import PaymentState as State
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.news import NOW, Story, asked, booked, fact, keys, state_of
from tests.orchestrator.orders import about, execution
from tests.plan_builder.orders import APPLE_PAY, CARD, money, part
from tests.processor.conftest import ScriptedFaults

MANUAL = CaptureMethod.MANUAL
UNSENT = Execution(Outcome.FAILED, error_code=ErrorCode.NETWORK_FAILURE, is_retryable=True)
# Turned away at the door: it will not come right by itself, and says nothing of the payment.
TURNED_AWAY = Execution(Outcome.FAILED, error_code=ErrorCode.PROCESSING_ERROR)
REFUSED = Execution(
    Outcome.FAILED, error_code=ErrorCode.PROCESSING_ERROR, decline_code="payment_intent_canceled"
)
DONE = Execution(Outcome.SUCCEEDED, reference="x_1")
ENDS = {"capture": State.CAPTURED, "void": State.VOIDED}


def _ordered(operation: str) -> Story:
    """A hold that is to be taken, or let go."""
    story = Story(asked(capture_method=MANUAL))
    story.answer()
    if operation == "capture":
        story.payment.capture(None, NOW, "request:1")
    else:
        story.payment.void(NOW, "request:1")
    story.save()
    return story


@pytest.mark.parametrize("told", [UNSENT, TURNED_AWAY], ids=["unsent", "turned away"])
@pytest.mark.parametrize("operation", ENDS)
def test_what_was_not_sent_stays_open_until_it_is_done(operation: str, told: Execution) -> None:
    story = _ordered(operation)
    (attempt,) = story.payment.to_send
    for _ in range(3):
        story.payment.settle(attempt.id, told, NOW)
        story.save()
        (now,) = [each for each in story.payment.attempts if each.id == attempt.id]
        assert (now.state, now.idempotency_key) == (AttemptState.IN_DOUBT, attempt.idempotency_key)
        assert now.look_up_at is not None
        assert story.payment.steps[0].held == money(10_000)
    assert len(story.payment.attempts) == 2
    story.payment.settle(attempt.id, DONE, NOW, "lookup")
    assert state_of(story) is ENDS[operation]
    assert story.payment.standing.in_doubt_since is None
    assert not story.payment.standing.needs_reconciliation


@pytest.mark.parametrize("operation", ENDS)
def test_a_refusal_ends_it(operation: str) -> None:
    story = _ordered(operation)
    (attempt,) = story.payment.to_send
    story.payment.settle(attempt.id, UNSENT, NOW)
    story.payment.settle(attempt.id, REFUSED, NOW, "lookup")
    story.save()
    if operation == "void":
        assert story.payment.steps[0].state is StepState.FAILED
        assert story.payment.standing.needs_reconciliation
    else:
        assert [each.operation for each in story.payment.to_send] == [Operation.VOID]


@pytest.mark.parametrize("operation", ENDS)
def test_what_never_gets_through_needs_a_person_in_the_end(operation: str) -> None:
    story = _ordered(operation)
    (attempt,) = story.payment.to_send
    now = NOW
    for _ in range(LOOKUPS_MAX + 1):
        assert not story.payment.standing.needs_reconciliation
        story.payment.settle(attempt.id, UNSENT, now)
        due_at = story.payment.due_at(driven=True)
        now = due_at or now
    assert story.payment.standing.needs_reconciliation
    assert story.payment.standing.in_doubt_since == NOW
    assert now - NOW > KEY_WINDOW
    assert story.payment.steps[0].held == money(10_000)


def test_money_that_came_late_is_given_back_once_the_processor_is_there_again() -> None:
    story = _ordered("void")
    story.answer()
    story.hear(fact(FactKind.CAPTURED, 10_000))
    (giving,) = story.payment.to_send
    story.payment.settle(giving.id, UNSENT, NOW)
    story.save()
    assert story.payment.due_at(driven=True) is not None
    story.payment.settle(giving.id, DONE, NOW, "lookup")
    story.save()
    assert booked(story.postings) == {}


def test_a_split_that_failed_is_refunded_once_the_processor_is_there_again() -> None:
    steps = (part(APPLE_PAY, 6_000), part(CARD))
    story = Story(asked(steps=steps, split_policy=SplitPolicy.ALL_OR_NOTHING))
    for said in (*[Execution(Outcome.SUCCEEDED, reference=f"pi_{n}") for n in (1, 2)], DONE):
        (attempt,) = story.payment.to_send
        story.payment.settle(attempt.id, said, NOW)
    (attempt,) = story.payment.to_send
    story.payment.settle(attempt.id, REFUSED, NOW)
    (void,) = story.payment.to_send
    story.payment.settle(void.id, DONE, NOW)
    (refund,) = story.payment.to_send
    assert refund.operation is Operation.REFUND
    story.payment.settle(refund.id, UNSENT, NOW)
    assert story.payment.total("reserved") == money(6_000)
    story.payment.settle(refund.id, Execution(Outcome.SUCCEEDED, reference="re_1"), NOW, "lookup")
    story.save()
    assert state_of(story) is State.REFUNDED
    assert keys(story.postings) == ["capture", "refund"]


def test_a_merchants_own_refund_that_was_not_sent_fails_and_is_free_to_be_asked_anew() -> None:
    story = Story(asked())
    story.finish()
    story.payment.refund(None, "returned", "key", NOW)
    (attempt,) = story.payment.to_send
    story.payment.settle(attempt.id, UNSENT, NOW)
    assert story.payment.total("refundable") == money(10_000)


async def _until(house: House, payment_id: str, done: Callable[[Payment], bool]) -> Payment:
    async with asyncio.timeout(90):
        while True:
            payment = await house.get(payment_id)
            if done(payment):
                return payment
            await asyncio.sleep(0.02)


async def _order(house: House, payment: Payment, operation: str) -> Payment:
    words = about(payment, f"{operation}-1")
    if operation == "void":
        return (await house.stub.VoidPayment(pb.VoidPaymentRequest(**words))).payment
    return (await house.stub.CapturePayment(pb.CapturePaymentRequest(**words))).payment


@pytest.mark.parametrize("operation", ENDS)
async def test_what_a_processor_misses_while_it_is_away_is_done_when_it_is_back(
    application_url: str, operation: str
) -> None:
    faults = ScriptedFaults()
    await faults.strike(operation, "not_sent", 3)
    async with running_house(application_url, simulated(faults)) as house:
        payment = await house.execute(execution(capture_method=MANUAL))
        told = await _order(house, payment, operation)
        assert (told.in_doubt, told.state) == (True, PaymentState.PAYMENT_STATE_AUTHORIZED)
        state = PaymentState.Value(f"PAYMENT_STATE_{ENDS[operation].name}")
        payment = await _until(house, payment.id, lambda each: each.state == state)
        assert not payment.in_doubt
        assert house.calls.count(operation.capitalize()) == 4
        sent = await house.rows("select operation, state from payments.attempts order by number")
        assert [tuple(row) for row in sent] == [
            ("authorize", "succeeded"),
            (operation, "succeeded"),
        ]


@pytest.mark.parametrize("operation", ENDS)
async def test_another_process_does_what_a_processor_has_missed(
    application_url: str, operation: str
) -> None:
    """The one that was asked is gone; the processor is back, and what it never got is sent."""
    faults = ScriptedFaults()
    await faults.strike(operation, "not_sent", 3)
    processors = simulated(faults)
    async with running_house(application_url, processors, recovers=False) as house:
        payment = await house.execute(execution(capture_method=MANUAL))
        await _order(house, payment, operation)
    state = PaymentState.Value(f"PAYMENT_STATE_{ENDS[operation].name}")
    async with running_house(application_url, processors) as house:
        await _until(house, payment.id, lambda each: each.state == state)
        assert await house.count("attempts") == 2
        assert not await house.rows("select from payments.payments where needs_reconciliation")
