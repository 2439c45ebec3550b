"""What processors tell of money that was taken: refunds, ours and others'."""

from typing import Any

from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, FactKind, ProcessorEvent
from services.orchestrator.domain.attempt import Evidence
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import Operation, PaymentState, RefundState, StepState
from tests.orchestrator.news import (
    NOW,
    Story,
    asked,
    booked,
    dispute_fact,
    fact,
    keys,
    refund_fact,
    state_of,
    taken,
)
from tests.plan_builder.orders import MERCHANT, money

APPLIED, KNOWN = Disposition.APPLIED, Disposition.KNOWN
STALE, UNMATCHED = Disposition.STALE, Disposition.UNMATCHED
PENDING, PAID = FactKind.REFUND_PENDING, FactKind.REFUND_SUCCEEDED
FAILED = FactKind.REFUND_FAILED
PAYABLE, DISPUTED = f"merchant:{MERCHANT}:payable", f"merchant:{MERCHANT}:disputed"


def _refunding(amount_minor: int = 4_000) -> tuple[Story, Refund]:
    """A payment whose refund was sent and not answered."""
    story = taken()
    refund = story.payment.refund(money(amount_minor), "", "ref-1", NOW)
    story.save()
    return story, refund


def _ours(story: Story, kind: FactKind, amount_minor: int = 4_000) -> ProcessorEvent:
    attempt = story.attempt(Operation.REFUND)
    return fact(kind, amount_minor, attempt_id=attempt.id, object_id="re_1")


def _reserved(story: Story) -> tuple[int, int]:
    """What was returned, and what is still reserved."""
    payment = story.payment
    return payment.total("refunded").amount_minor, payment.total("reserved").amount_minor


def test_a_refund_of_ours_is_taken_on_and_paid_out_by_events() -> None:
    story, refund = _refunding()
    assert story.hear(_ours(story, PENDING)).disposition is APPLIED
    assert story.hear(_ours(story, PENDING)).disposition is KNOWN
    assert _reserved(story) == (0, 4_000)
    # By now the processor's own id is enough to know it by.
    assert story.hear(refund_fact(PAID, 4_000)).disposition is APPLIED
    assert _reserved(story) == (4_000, 0)
    assert story.hear(refund_fact(PAID, 4_000)).disposition is KNOWN
    assert story.hear(_ours(story, PENDING)).disposition is STALE
    assert story.payment.to_send == ()
    assert [each.id for each in story.payment.refunds] == [refund.id]
    assert keys(story.postings) == ["capture", "refund"]


def test_a_refund_of_ours_that_fails_frees_what_it_had_reserved() -> None:
    story, _ = _refunding()
    assert story.hear(_ours(story, FAILED)).disposition is APPLIED
    assert _reserved(story) == (0, 0)
    assert story.hear(_ours(story, FAILED)).disposition is KNOWN
    assert story.hear(_ours(story, PAID)).disposition is STALE
    assert story.payment.refunds[0].state is RefundState.FAILED
    assert keys(story.postings) == ["capture"]


def test_a_refund_of_another_amount_than_asked_for_is_for_a_person_to_look_at() -> None:
    story, _ = _refunding()
    heard = story.hear(_ours(story, PAID, 3_999))
    assert heard.is_alarming
    assert story.payment.standing.needs_reconciliation


def test_what_an_operator_held_for_failed_and_was_paid_out_is_recorded() -> None:
    story, _ = _refunding()
    story.answer(Outcome.UNKNOWN)
    attempt = story.attempt(Operation.REFUND)
    story.payment.resolve(attempt.id, Evidence(Outcome.FAILED, None, "dashboard", "maria"), NOW)
    story.save()
    heard = story.hear(_ours(story, PAID))
    assert (heard.disposition, heard.is_alarming) == (APPLIED, True)
    assert story.hear(_ours(story, PAID)).disposition is KNOWN
    assert _reserved(story) == (4_000, 0)
    assert [each.state for each in story.payment.refunds] == [
        RefundState.FAILED,
        RefundState.SUCCEEDED,
    ]


def test_refunds_made_at_the_processor_are_recorded_up_to_all_there_was() -> None:
    story = taken()
    assert story.hear(refund_fact(PAID, 3_000)).disposition is APPLIED
    assert story.hear(refund_fact(PAID, 3_000)).disposition is KNOWN
    assert state_of(story) is PaymentState.CAPTURED
    assert story.hear(refund_fact(PAID, 7_000, "re_2")).disposition is APPLIED
    payment = story.payment
    assert state_of(story) is PaymentState.REFUNDED
    assert payment.steps[0].state is StepState.REFUNDED
    assert payment.total("fee_kept") == money(0)
    assert not payment.standing.needs_reconciliation
    assert booked(story.postings) == {}
    assert [each.idempotency_key for each in payment.refunds] == ["", ""]


def test_a_refund_at_the_processor_reserves_until_it_ends() -> None:
    story = taken()
    story.hear(refund_fact(PENDING, 3_000))
    assert _reserved(story) == (0, 3_000)
    story.hear(refund_fact(PENDING, 2_000, "re_2"))
    story.hear(refund_fact(FAILED, 2_000, "re_2"))
    assert _reserved(story) == (0, 3_000)
    story.hear(refund_fact(PAID, 3_000))
    assert _reserved(story) == (3_000, 0)


def test_a_failed_refund_at_the_processor_is_recorded_and_moves_nothing() -> None:
    story = taken()
    assert story.hear(refund_fact(FAILED, 3_000)).disposition is APPLIED
    assert story.hear(refund_fact(PAID, 3_000)).disposition is STALE
    assert story.hear(refund_fact(PENDING, 3_000)).disposition is STALE
    assert _reserved(story) == (0, 0)
    assert [each.state for each in story.payment.refunds] == [RefundState.FAILED]


def test_a_refund_at_the_processor_beyond_what_was_left_is_excess() -> None:
    story, _ = _refunding(8_000)
    heard = story.hear(refund_fact(PAID, 5_000, "re_outside"))
    assert (heard.disposition, heard.is_alarming) == (APPLIED, True)
    payment = story.payment
    assert payment.total("excess") == money(3_000)
    assert payment.total("refundable") == money(0)
    assert payment.standing.needs_reconciliation
    story.hear(_ours(story, FAILED, 8_000))
    assert payment.total("excess") == money(0), "what did not fit was freed"
    assert payment.total("refundable") == money(5_000)


def test_a_refund_that_comes_back_after_it_was_paid_is_booked_back_once() -> None:
    story, refund = _refunding(10_000)
    story.hear(_ours(story, PAID, 10_000))
    assert state_of(story) is PaymentState.REFUNDED
    before = booked(story.postings[:1])
    returned = fact(FAILED, 10_000, object_id="re_1", error_code=ErrorCode.PROCESSING_ERROR)
    heard = story.hear(returned)
    assert (heard.disposition, heard.is_alarming) == (APPLIED, True)
    assert story.hear(_ours(story, FAILED, 10_000)).disposition is KNOWN
    payment = story.payment
    assert state_of(story) is PaymentState.REFUNDED, "there is no way back"
    assert payment.steps[0].state is StepState.CAPTURED
    assert payment.total("refundable") == money(10_000)
    assert payment.standing.needs_reconciliation
    assert keys(story.postings) == ["capture", "refund", "refund_returned"]
    assert booked(story.postings) == before
    assert "PaymentRefundFailed" in story.told
    payment.refund(None, "", "ref-2", NOW)
    story.finish()
    assert booked(story.postings) == {}
    assert payment.total("fee_kept") == money(0)
    assert refund.id != payment.refunds[-1].id


def test_what_is_given_back_late_and_returns_is_for_a_person_to_send() -> None:
    story = Story(asked())
    story.answer(Outcome.FAILED)
    story.hear(fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id))
    late = story.attempt(Operation.REFUND)
    assert story.hear(_ours(story, PAID, 10_000)).disposition is APPLIED
    assert keys(story.postings) == ["late_success", "late_success_returned"]
    heard = story.hear(fact(FAILED, 10_000, attempt_id=late.id, object_id="re_1"))
    assert heard.is_alarming


def test_refunds_and_disputes_are_early_until_the_capture_is_known() -> None:
    story = Story(asked())
    story.answer()
    early = [refund_fact(PAID, 3_000), dispute_fact(FactKind.DISPUTE_OPENED)]
    for event in early:
        assert story.payment.hear(event, NOW).disposition is UNMATCHED
    assert not story.payment.has_changes
    story.hear(*early)
    story.answer()
    story.offer()
    assert state_of(story) is PaymentState.DISPUTED
    assert _reserved(story) == (3_000, 0)


def test_a_refund_of_what_this_payment_never_took_is_for_a_person_to_look_at() -> None:
    story = Story(asked())
    story.answer(Outcome.FAILED)
    late = fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id)
    story.hear(late)
    named: dict[str, Any] = {"attempt_id": story.first.id, "object_id": "re_9"}
    heard = story.hear(fact(PAID, 10_000, **named))
    assert heard.is_alarming
    assert story.payment.refunds == ()


def test_what_names_no_object_or_no_amount_cannot_be_recorded_and_is_ignored() -> None:
    story = taken()
    for event in (
        fact(FactKind.DISPUTE_OPENED, object_id="dp_1"),
        fact(FactKind.DISPUTE_OPENED, 5_000, object_id=None),
        fact(PAID, object_id="re_1"),
        fact(PAID, 5_000, object_id=None),
    ):
        assert story.hear(event).disposition is Disposition.IGNORED
    assert (story.payment.disputes, story.payment.refunds) == ((), ())
