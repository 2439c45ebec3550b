"""What is taken with its hold: by an answer, by an event, too late, or when it was to be let go."""

from dataclasses import replace
from typing import Any

import pytest
from payments.core.v1 import operation_pb2
from payments.result.v1.result_pb2 import OUTCOME_UNKNOWN, Result

from services.kernel.context import CaptureMethod
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, FactKind
from services.orchestrator.domain.attempt import Attempt, Evidence, Execution, Redirect
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState, StepState
from services.orchestrator.translate.routing import attempt_message
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.news import (
    HOLD,
    NOW,
    Story,
    asked,
    booked,
    dispositions,
    fact,
    failed,
    held,
    keys,
    state_of,
)
from tests.orchestrator.orders import execution, succeeded
from tests.plan_builder.orders import APPLE_PAY, CARD, MERCHANT, money, part

AUTHORIZE = operation_pb2.OPERATION_AUTHORIZE
CAPTURE = operation_pb2.OPERATION_CAPTURE
LOOKUP = operation_pb2.OPERATION_LOOKUP
TAKEN = Execution(Outcome.SUCCEEDED, reference=HOLD, captured=money(10_000))
UNKNOWN = Execution(Outcome.UNKNOWN, reference=HOLD)
CHALLENGED = Execution(
    Outcome.REQUIRES_ACTION,
    reference=HOLD,
    redirect=Redirect("https://bank.example/3ds", "https://shop.example/back"),
)
NOT_RELEASED = Execution(
    Outcome.FAILED,
    error_code=ErrorCode.PROCESSING_ERROR,
    decline_code="succeeded",
    captured=money(10_000),
)
TAKEN_ONCE = {
    "processor:simulated:clearing": -10_000,
    f"merchant:{MERCHANT}:payable": 9_680,
    "platform:fees": 320,
}
UNCLAIMED = {"processor:simulated:clearing": -10_000, "platform:unclaimed": 10_000}


def _settle(story: Story, attempt: Attempt, execution: Execution) -> Disposition:
    disposition = story.payment.settle(attempt.id, execution, NOW)
    story.save()
    return disposition


def _withdrawn() -> tuple[Story, Attempt]:
    """A payment that waited for its customer, and was given up; with the void of it."""
    story = Story(asked())
    _settle(story, story.first, CHALLENGED)
    story.payment.void(NOW, "request:1")
    story.save()
    (void,) = story.payment.to_send
    assert void.operation is Operation.VOID
    return story, void


def _taken_once(story: Story) -> None:
    """It is captured, by one attempt, and booked once."""
    assert state_of(story) is PaymentState.CAPTURED
    assert [each.operation for each in story.payment.attempts] == [Operation.AUTHORIZE]
    (step,) = story.payment.steps
    assert (step.state, step.captured) == (StepState.CAPTURED, money(10_000))
    assert booked(story.postings) == TAKEN_ONCE
    assert keys(story.postings) == ["capture"]
    assert not story.payment.standing.needs_reconciliation


async def test_one_request_takes_a_payment_that_is_captured_at_once(house: House) -> None:
    payment = await house.execute(execution())
    assert payment.amount_captured.amount_minor == 10_000
    assert house.calls == ["Authorize"]
    (row,) = await house.rows("select operation, state from payments.attempts")
    assert tuple(row) == ("authorize", "succeeded")


async def test_a_processor_that_only_held_it_is_asked_to_take_it(scripted: ScriptedHouse) -> None:
    processors = scripted.processors
    processors.script(AUTHORIZE, succeeded())
    payment = await scripted.house.execute(execution())
    assert payment.amount_captured.amount_minor == 10_000
    assert scripted.house.calls == ["Authorize", "Capture"]
    (_, authorize), (_, capture) = processors.asked
    assert authorize.attempt.capture_at_once
    assert not capture.attempt.capture_at_once


@pytest.mark.parametrize(
    "said",
    [
        {"capture_method": CaptureMethod.MANUAL},
        {"steps": (part(APPLE_PAY, 6_000), part(CARD))},
    ],
    ids=["the merchant captures", "a split"],
)
def test_what_has_something_to_wait_for_is_only_held(said: Any) -> None:
    story = Story(asked(**said))
    (first,) = story.payment.to_send
    assert not attempt_message(story.payment.order_for(first, NOW)).capture_at_once
    # And a processor that says that it took it is not believed to have been asked to.
    _settle(story, first, TAKEN)
    assert story.payment.steps[0].state is StepState.AUTHORIZED
    assert story.postings == []


async def test_every_try_says_the_same_whoever_sends_it(scripted: ScriptedHouse) -> None:
    processors = scripted.processors
    processors.script(AUTHORIZE, Result(outcome=OUTCOME_UNKNOWN, processor_reference="pi_1"))
    processors.script(LOOKUP, succeeded())
    payment = await scripted.house.execute(execution())
    await scripted.house.until(payment.id, lambda each: each.amount_captured.amount_minor > 0)
    said = [(name, each.attempt.capture_at_once) for name, each in processors.asked]
    assert said == [(AUTHORIZE, True), (LOOKUP, True), (CAPTURE, False)]


def test_what_was_sent_to_be_held_is_never_sent_to_be_taken() -> None:
    """As those attempts are that were committed before anything was taken at once."""
    story = Story(asked())
    story.payment._put_attempt(replace(story.first, capture_at_once=False))
    story.save()
    assert not attempt_message(story.payment.order_for(story.first, NOW)).capture_at_once
    _settle(story, story.first, replace(TAKEN, captured=None))
    assert [each.operation for each in story.payment.to_send] == [Operation.CAPTURE]


@pytest.mark.parametrize("before", [None, UNKNOWN, CHALLENGED], ids=["out", "doubt", "action"])
def test_an_answer_takes_it_once(before: Execution | None) -> None:
    story = Story(asked())
    if before is not None:
        _settle(story, story.first, before)
    assert _settle(story, story.first, TAKEN) is Disposition.APPLIED
    _taken_once(story)
    assert _settle(story, story.first, TAKEN) is Disposition.KNOWN
    assert story.hear(fact(FactKind.CAPTURED, 10_000)).disposition is Disposition.KNOWN
    assert story.hear(fact(FactKind.AUTHORIZED, 10_000)).disposition is Disposition.KNOWN
    _taken_once(story)


@pytest.mark.parametrize("before", [None, UNKNOWN, CHALLENGED], ids=["out", "doubt", "action"])
def test_an_event_that_is_quicker_takes_it_once(before: Execution | None) -> None:
    story = Story(asked())
    if before is not None:
        _settle(story, story.first, before)
    told = [fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id) for _ in range(2)]
    assert dispositions(*map(story.hear, told)) == [Disposition.APPLIED, Disposition.KNOWN]
    _taken_once(story)
    assert _settle(story, story.first, TAKEN) is Disposition.KNOWN
    _taken_once(story)


def test_an_event_of_another_amount_is_booked_as_it_is_and_looked_at() -> None:
    story = Story(asked())
    story.hear(fact(FactKind.CAPTURED, 7_000, attempt_id=story.first.id))
    assert story.payment.total("captured") == money(7_000)
    assert booked(story.postings)["processor:simulated:clearing"] == -7_000
    assert story.payment.standing.needs_reconciliation


def test_what_was_taken_after_it_had_failed_is_returned_once() -> None:
    story = failed()
    assert _settle(story, story.first, TAKEN) is Disposition.APPLIED
    assert _settle(story, story.first, TAKEN) is Disposition.STALE
    assert story.hear(fact(FactKind.CAPTURED, 10_000)).disposition is Disposition.STALE
    assert booked(story.postings) == UNCLAIMED
    (giving,) = story.payment.to_send
    assert (giving.operation, giving.amount) == (Operation.REFUND, money(10_000))
    story.answer()
    assert booked(story.postings) == {}
    assert state_of(story) is PaymentState.FAILED


@pytest.mark.parametrize("is_told_first", [False, True], ids=["the answer", "an event"])
def test_a_customer_who_was_quicker_than_the_void_is_given_it_back(is_told_first: bool) -> None:
    story, void = _withdrawn()
    news = fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id)
    if is_told_first:
        story.hear(news)
    _settle(story, void, NOT_RELEASED)
    if not is_told_first:
        assert booked(story.postings) == UNCLAIMED
    story.hear(news)
    assert state_of(story) is PaymentState.FAILED
    assert story.payment.standing.needs_reconciliation
    assert booked(story.postings) == UNCLAIMED
    (giving,) = [each for each in story.payment.to_send if each.id != void.id]
    assert (giving.operation, giving.amount) == (Operation.REFUND, money(10_000))
    story.answer()
    assert booked(story.postings) == {}
    assert all(each.state is not AttemptState.OPEN for each in story.payment.attempts)


@pytest.mark.parametrize("is_told_first", [False, True], ids=["the answer", "an event"])
@pytest.mark.parametrize("taken_minor", [10_000, 7_000])
def test_what_was_taken_at_the_dashboard_before_a_void_is_returned(
    taken_minor: int, is_told_first: bool
) -> None:
    story = held()
    story.payment.void(NOW, "request:1")
    story.save()
    (void,) = story.payment.to_send
    news = fact(FactKind.CAPTURED, taken_minor, attempt_id=story.first.id)
    if is_told_first:
        story.hear(news)
    _settle(story, void, replace(NOT_RELEASED, captured=money(taken_minor)))
    story.hear(news)
    assert state_of(story) is PaymentState.VOIDED
    assert story.payment.standing.needs_reconciliation
    assert booked(story.postings)["platform:unclaimed"] == taken_minor
    (giving,) = story.payment.to_send
    assert (giving.operation, giving.amount) == (Operation.REFUND, money(taken_minor))
    story.answer()
    assert booked(story.postings) == {}


@pytest.mark.parametrize("said", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_a_void_that_an_operator_ended_wrongly_still_returns_what_was_taken(said: Outcome) -> None:
    story, void = _withdrawn()
    _settle(story, void, UNKNOWN)
    story.payment.resolve(void.id, Evidence(said, HOLD, "hearsay", "otto"), NOW)
    story.save()
    assert _settle(story, void, NOT_RELEASED) is Disposition.APPLIED
    assert booked(story.postings) == UNCLAIMED
    assert [each.operation for each in story.payment.to_send] == [Operation.REFUND]


def test_what_was_made_and_taken_beside_a_hold_is_booked_by_itself() -> None:
    story = failed()
    _settle(story, story.first, TAKEN)
    story.hear(fact(FactKind.AUTHORIZED, 10_000, attempt_id=story.first.id, reference="pi_2"))
    void = story.attempt(Operation.VOID)
    assert (void.hold, void.late) == ("pi_2", True)
    _settle(story, void, NOT_RELEASED)
    names = [each.idempotency_key for each in story.postings]
    assert len(names) == len(set(names)) == 2
    assert [each.hold for each in story.payment.to_send] == [HOLD, "pi_2"]


def test_a_void_that_failed_though_nothing_was_taken_returns_nothing() -> None:
    story, void = _withdrawn()
    _settle(story, void, replace(NOT_RELEASED, captured=None))
    assert state_of(story) is PaymentState.FAILED
    assert story.payment.to_send == ()
    assert story.postings == []
