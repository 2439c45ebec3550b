"""What processors tell too late: what was held or taken for what had ended goes back, booked."""

from typing import Any

import pytest

from services.kernel.context import CaptureMethod
from services.kernel.outcome import Outcome
from services.orchestrator.domain.applied import Disposition, FactKind
from services.orchestrator.domain.attempt import Execution, Redirect
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState
from tests.orchestrator.news import (
    HOLD,
    NOW,
    booked,
    dispositions,
    fact,
    failed,
    held,
    keys,
    state_of,
    voided,
)
from tests.plan_builder.orders import money

APPLIED, KNOWN = Disposition.APPLIED, Disposition.KNOWN
STALE, UNMATCHED = Disposition.STALE, Disposition.UNMATCHED
MANUAL = CaptureMethod.MANUAL
REDIRECT = Redirect("https://bank.example/3ds", "https://shop.example/back")
CHALLENGED = Execution(Outcome.REQUIRES_ACTION, reference=HOLD, redirect=REDIRECT)
CLEARING, UNCLAIMED = "processor:simulated:clearing", "platform:unclaimed"


def test_a_hold_that_comes_late_is_released_once() -> None:
    story = failed()
    late = [fact(FactKind.AUTHORIZED, 10_000, attempt_id=story.first.id) for _ in range(3)]
    assert dispositions(*map(story.hear, late)) == [APPLIED, STALE, STALE]
    assert [each.operation for each in story.payment.to_send] == [Operation.VOID]
    assert state_of(story) is PaymentState.FAILED
    assert story.payment.standing.needs_reconciliation
    assert story.postings == []
    assert "PaymentSucceededLate" in story.told


@pytest.mark.parametrize("make", [failed, voided], ids=["failed", "voided"])
def test_money_that_comes_late_is_returned_once_and_booked_both_ways(make: Any) -> None:
    story = make()
    state = story.payment.state
    late = [fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id) for _ in range(3)]
    assert dispositions(*map(story.hear, late)) == [APPLIED, STALE, STALE]
    assert booked(story.postings) == {CLEARING: -10_000, UNCLAIMED: 10_000}
    assert [(each.operation, each.amount) for each in story.payment.to_send] == [
        (Operation.REFUND, money(10_000))
    ]
    story.answer()
    assert booked(story.postings) == {}
    assert keys(story.postings) == ["late_success", "late_success_returned"]
    assert state_of(story) is state
    assert story.payment.standing.needs_reconciliation


def test_money_that_comes_late_and_cannot_be_returned_is_booked_once() -> None:
    story = failed()
    story.hear(fact(FactKind.CAPTURED, 10_000))
    story.answer(Outcome.FAILED)
    assert story.hear(fact(FactKind.CAPTURED, 10_000)).disposition is STALE
    assert keys(story.postings) == ["late_success"]


@pytest.mark.parametrize("way", ["event", "answer"])
def test_money_that_comes_late_and_goes_back_after_all_is_booked_both_ways(way: str) -> None:
    """Giving it back had been given up without a word of the processor's own."""
    story = failed()
    story.hear(fact(FactKind.CAPTURED, 10_000))
    (giving,) = story.payment.to_send
    story.payment.settle(giving.id, Execution(Outcome.FAILED), NOW, "operator")
    story.save()
    assert booked(story.postings) == {CLEARING: -10_000, UNCLAIMED: 10_000}
    if way == "event":
        paid = fact(FactKind.REFUND_SUCCEEDED, 10_000, attempt_id=giving.id, object_id="re_1")
        again = fact(FactKind.REFUND_SUCCEEDED, 10_000, attempt_id=giving.id, object_id="re_1")
        told = [story.hear(each) for each in (paid, again)]
        assert dispositions(*told) == [APPLIED, STALE]
        assert told[0].is_alarming
    else:
        paid_out = Execution(Outcome.SUCCEEDED, reference="re_1")
        for disposition in (APPLIED, STALE):
            assert story.payment.settle(giving.id, paid_out, NOW) is disposition
        story.save()
    assert booked(story.postings) == {}
    assert keys(story.postings) == ["late_success", "late_success_returned"]
    assert story.payment.standing.needs_reconciliation


def test_what_was_released_late_and_taken_all_the_same_is_returned_and_booked() -> None:
    """The processor says both, so a person has to look; the money is on the books meanwhile."""
    story = failed()
    story.hear(fact(FactKind.AUTHORIZED, 10_000, attempt_id=story.first.id))
    story.answer()
    assert story.attempt(Operation.VOID).state is AttemptState.SUCCEEDED
    heard = [story.hear(fact(FactKind.CAPTURED, 10_000)) for _ in range(2)]
    assert dispositions(*heard) == [APPLIED, STALE]
    assert heard[0].is_alarming
    assert booked(story.postings) == {CLEARING: -10_000, UNCLAIMED: 10_000}
    story.answer()
    assert booked(story.postings) == {}
    assert story.payment.standing.needs_reconciliation
    assert state_of(story) is PaymentState.FAILED


def test_what_was_taken_while_it_is_being_released_is_returned() -> None:
    story = held()
    story.payment.void(NOW, "request:1")
    story.save()
    assert story.hear(fact(FactKind.CAPTURED, 10_000)).disposition is APPLIED
    assert state_of(story) is PaymentState.VOIDED
    assert story.payment.total("held") == money(0)
    story.answer()
    assert keys(story.postings) == ["late_success", "late_success_returned"]


def test_a_second_thing_made_for_the_same_attempt_is_returned() -> None:
    story = held()
    story.payment.capture(None, NOW, "request:1")
    story.answer()
    twice: dict[str, Any] = {"attempt_id": story.first.id, "reference": "pi_9", "object_id": "pi_9"}
    assert story.hear(fact(FactKind.CAPTURED, 10_000, **twice)).disposition is APPLIED
    assert story.hear(fact(FactKind.CAPTURED, 10_000, **twice)).disposition is KNOWN
    assert [(each.operation, each.hold) for each in story.payment.to_send] == [
        (Operation.REFUND, "pi_9")
    ]
    story.answer()
    assert keys(story.postings) == ["capture", "late_success", "late_success_returned"]
    assert booked(story.postings)[CLEARING] == -10_000
    assert story.payment.total("captured") == money(10_000)


def test_a_second_thing_taken_does_not_count_for_the_hold_that_stands() -> None:
    story = held()
    twice: dict[str, Any] = {"attempt_id": story.first.id, "reference": "pi_9"}
    story.hear(fact(FactKind.CAPTURED, 10_000, **twice))
    story.answer()
    story.payment.capture(money(4_000), NOW, "request:1")
    story.answer()
    assert story.payment.total("captured") == money(4_000)
    assert booked(story.postings)[CLEARING] == -4_000
