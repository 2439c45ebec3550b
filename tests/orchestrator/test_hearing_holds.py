"""What processors tell of holds in time: made, refused, taken or gone."""

from typing import Any

import pytest

from services.kernel.context import CaptureMethod
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, FactKind
from services.orchestrator.domain.attempt import Execution, Redirect
from services.orchestrator.domain.events import PaymentCaptured
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState, StepState
from tests.orchestrator.news import HOLD, NOW, Story, asked, booked, fact, held, state_of
from tests.plan_builder.orders import money

APPLIED, KNOWN = Disposition.APPLIED, Disposition.KNOWN
STALE, UNMATCHED = Disposition.STALE, Disposition.UNMATCHED
MANUAL = CaptureMethod.MANUAL
REDIRECT = Redirect("https://bank.example/3ds", "https://shop.example/back")
CHALLENGED = Execution(Outcome.REQUIRES_ACTION, reference=HOLD, redirect=REDIRECT)
CLEARING, UNCLAIMED = "processor:simulated:clearing", "platform:unclaimed"


def _challenged(**said: Any) -> Story:
    story = Story(asked(**said))
    story.payment.settle(story.first.id, CHALLENGED, NOW)
    story.save()
    return story


def _captured() -> Story:
    story = held()
    story.payment.capture(None, NOW, "request:1")
    story.answer()
    return story


def test_authentication_is_completed_by_an_event() -> None:
    story = _challenged()
    assert story.hear(fact(FactKind.AUTHORIZED, 10_000)).disposition is APPLIED
    payment = story.payment
    assert state_of(story) is PaymentState.AUTHORIZED
    assert (payment.standing.redirect, payment.standing.action_expires_at) == (None, None)
    assert [each.operation for each in payment.to_send] == [Operation.CAPTURE]
    story.answer()
    assert state_of(story) is PaymentState.CAPTURED


def test_a_failure_told_while_the_answer_is_out_leaves_the_failover_to_the_answer() -> None:
    story = Story(asked(processors=("simulated", "backup")))
    heard = story.hear(fact(FactKind.FAILED, attempt_id=story.first.id))
    assert heard.disposition is KNOWN
    assert state_of(story) is PaymentState.CONFIRMING
    failed = Execution(Outcome.FAILED, error_code=ErrorCode.NETWORK_FAILURE, failover_to="backup")
    story.payment.settle(story.first.id, failed, NOW)
    assert [each.processor_id for each in story.payment.to_send] == ["backup"]


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.PENDING, Outcome.REQUIRES_ACTION])
def test_a_failure_settles_what_is_in_doubt_pending_or_waits_for_its_customer(
    outcome: Outcome,
) -> None:
    story = Story(asked())
    waiting = Execution(outcome, reference=HOLD, redirect=REDIRECT)
    story.payment.settle(story.first.id, waiting, NOW)
    refused = fact(
        FactKind.FAILED, error_code=ErrorCode.INSUFFICIENT_FUNDS, native_reason="insufficient"
    )
    assert story.hear(refused).disposition is APPLIED
    assert state_of(story) is PaymentState.FAILED
    error = story.payment.standing.final_error
    assert error is not None
    assert (error.code, error.decline_code) == (ErrorCode.INSUFFICIENT_FUNDS, "insufficient")
    assert story.payment.standing.in_doubt_since is None
    assert story.hear(refused).disposition is KNOWN


@pytest.mark.parametrize("make", [held, _captured], ids=["held", "captured"])
def test_a_failure_that_comes_after_a_success_is_stale(make: Any) -> None:
    story = make()
    before = story.payment.standing
    assert story.hear(fact(FactKind.FAILED)).disposition is STALE
    assert story.payment.standing == before


def test_a_failure_from_before_the_hold_proves_nothing_of_a_capture_in_doubt() -> None:
    story = held()
    story.payment.capture(None, NOW, "request:1")
    story.answer(Outcome.UNKNOWN)
    capture = story.attempt(Operation.CAPTURE)
    assert story.hear(fact(FactKind.FAILED, attempt_id=story.first.id)).disposition is APPLIED
    assert story.payment.to_look_up(NOW) == (story.attempt(Operation.CAPTURE),)
    assert state_of(story) is PaymentState.AUTHORIZED
    story.hear(fact(FactKind.FAILED, attempt_id=capture.id))
    assert story.attempt(Operation.CAPTURE).state is AttemptState.FAILED


def test_what_was_taken_before_the_answer_is_not_taken_again() -> None:
    story = Story(asked())
    heard = story.hear(fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id))
    assert heard.disposition is APPLIED
    assert state_of(story) is PaymentState.CAPTURED
    assert story.payment.to_send == ()
    story.payment.settle(story.first.id, Execution(Outcome.SUCCEEDED, HOLD), NOW)
    assert not story.payment.has_changes
    assert story.told.count("PaymentCaptured") == 1


@pytest.mark.parametrize(
    ("taken_minor", "needs_a_person"), [(10_000, False), (4_000, False), (12_000, True)]
)
def test_a_hold_taken_at_the_processor_itself_is_taken(
    taken_minor: int, needs_a_person: bool
) -> None:
    story = held()
    heard = story.hear(fact(FactKind.CAPTURED, taken_minor))
    assert (heard.disposition, heard.is_alarming) == (APPLIED, needs_a_person)
    payment = story.payment
    assert state_of(story) is PaymentState.CAPTURED
    assert payment.total("captured") == money(taken_minor)
    assert payment.standing.needs_reconciliation is needs_a_person
    assert payment.to_send == ()
    assert booked(story.postings)[CLEARING] == -taken_minor
    assert story.attempt(Operation.CAPTURE).state is AttemptState.SUCCEEDED
    assert story.hear(fact(FactKind.CAPTURED, taken_minor)).disposition is KNOWN


def test_a_capture_of_another_amount_is_recorded_as_it_happened() -> None:
    story = Story(asked())
    story.answer()
    story.answer(Outcome.UNKNOWN)
    heard = story.hear(fact(FactKind.CAPTURED, 9_000))
    assert heard.is_alarming
    assert story.payment.total("captured") == money(9_000)
    assert booked(story.postings)[CLEARING] == -9_000
    assert story.payment.standing.needs_reconciliation


@pytest.mark.parametrize(("word", "cause"), [("automatic", "expired"), ("abandoned", "processor")])
def test_a_hold_that_is_gone_voids_the_payment(word: str, cause: str) -> None:
    story = held()
    payment = story.payment
    payment.hear(fact(FactKind.CANCELED, native_reason=word), NOW)
    (voided,) = [each.event for each in payment.collect_changes().events]
    assert getattr(voided, "cause", None) == cause
    assert state_of(story) is PaymentState.VOIDED
    assert payment.total("held") == money(0)
    assert payment.to_send == ()
    assert story.hear(fact(FactKind.CANCELED)).disposition is KNOWN


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.PENDING, Outcome.REQUIRES_ACTION])
def test_what_is_canceled_before_it_is_held_fails_and_an_older_hold_is_stale(
    outcome: Outcome,
) -> None:
    story = Story(asked())
    waiting = Execution(outcome, reference=HOLD, redirect=REDIRECT)
    story.payment.settle(story.first.id, waiting, NOW)
    assert story.hear(fact(FactKind.CANCELED)).disposition is APPLIED
    assert state_of(story) is PaymentState.FAILED
    assert story.hear(fact(FactKind.AUTHORIZED, 10_000)).disposition is STALE
    assert story.payment.to_send == ()
    assert not story.payment.standing.needs_reconciliation


def test_a_cancellation_waits_for_the_answer_that_is_out() -> None:
    story = Story(asked(capture_method=MANUAL))
    canceled = fact(FactKind.CANCELED, attempt_id=story.first.id)
    assert story.hear(canceled).disposition is UNMATCHED
    story.answer()
    story.offer()
    assert state_of(story) is PaymentState.VOIDED


def test_a_release_that_is_told_before_it_is_answered_is_done() -> None:
    story = held()
    story.payment.void(NOW, "request:1")
    assert story.hear(fact(FactKind.CANCELED)).disposition is APPLIED
    assert state_of(story) is PaymentState.VOIDED
    assert story.payment.to_send == ()
    assert story.payment.steps[0].state is StepState.VOIDED


def test_a_hold_that_ran_out_before_it_was_taken_is_asked_about_no_more() -> None:
    story = Story(asked())
    story.answer()
    story.answer(Outcome.UNKNOWN)
    assert story.hear(fact(FactKind.CANCELED, native_reason="expired")).disposition is APPLIED
    assert state_of(story) is PaymentState.VOIDED
    assert story.payment.standing.in_doubt_since is None
    assert all(each.is_settled for each in story.payment.attempts)


def test_a_cancellation_after_the_capture_is_stale() -> None:
    story = _captured()
    assert story.hear(fact(FactKind.CANCELED)).disposition is STALE
    assert state_of(story) is PaymentState.CAPTURED


def test_what_is_told_of_another_account_s_object_is_of_nobody() -> None:
    story = Story(asked())
    for kind in (FactKind.AUTHORIZED, FactKind.CAPTURED, FactKind.CANCELED, FactKind.FAILED):
        stranger = fact(kind, 10_000, attempt_id=story.first.id, processor_id="another_account")
        assert story.payment.hear(stranger, NOW).disposition is UNMATCHED
    assert not story.payment.has_changes


def test_no_less_than_nothing_is_released_when_more_than_was_held_is_taken() -> None:
    story = held()
    story.payment.hear(fact(FactKind.CAPTURED, 12_000), NOW)
    told = [each.event for each in story.payment.collect_changes().events]
    (captured,) = [each for each in told if isinstance(each, PaymentCaptured)]
    assert (captured.amount, captured.released) == (money(12_000), money(0))


def test_an_amount_in_another_currency_is_for_a_person_to_look_at() -> None:
    story = held()
    heard = story.hear(fact(FactKind.CAPTURED, amount=money(10_000, "EUR")))
    assert (heard.disposition, heard.is_alarming) == (Disposition.IGNORED, True)
    assert state_of(story) is PaymentState.AUTHORIZED
    assert story.payment.standing.needs_reconciliation


def test_less_than_was_asked_for_is_not_what_was_asked_for() -> None:
    story = Story(asked())
    heard = story.hear(fact(FactKind.AUTHORIZED, 9_000, attempt_id=story.first.id))
    assert heard.disposition is Disposition.IGNORED
    assert state_of(story) is PaymentState.CONFIRMING
    assert story.payment.standing.needs_reconciliation


def test_what_an_action_needs_is_asked_for_where_it_is_not_known() -> None:
    story = Story(asked())
    named: dict[str, Any] = {"attempt_id": story.first.id}
    assert story.hear(fact(FactKind.ACTION_REQUIRED, **named)).disposition is KNOWN
    story.payment.settle(story.first.id, Execution(Outcome.UNKNOWN), NOW)
    assert story.hear(fact(FactKind.ACTION_REQUIRED, **named)).disposition is APPLIED
    assert [each.id for each in story.payment.to_look_up(NOW)] == [story.first.id]
    story.payment.settle(story.first.id, CHALLENGED, NOW, "lookup")
    assert story.hear(fact(FactKind.ACTION_REQUIRED, **named)).disposition is KNOWN
    story.hear(fact(FactKind.AUTHORIZED, 10_000))
    assert story.hear(fact(FactKind.ACTION_REQUIRED, **named)).disposition is STALE


def test_what_concerns_nothing_that_is_kept_is_noted_and_changes_nothing() -> None:
    story = held()
    story.payment.hear(fact(FactKind.IGNORED), NOW)
    changes = story.payment.collect_changes()
    assert changes.applied is not None
    assert changes.applied.disposition is Disposition.IGNORED
    assert (changes.attempts, changes.steps, changes.events) == ((), (), ())
