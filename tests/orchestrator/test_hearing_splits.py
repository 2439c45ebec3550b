"""What processors tell of one hold of a split while the other is not there yet."""

from typing import Any

from services.kernel.context import CaptureMethod, SplitPolicy
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, FactKind
from services.orchestrator.domain.attempt import Execution
from services.orchestrator.domain.state import Operation, PaymentState
from tests.orchestrator.news import NOW, Story, asked, booked, fact, keys, state_of
from tests.plan_builder.orders import APPLE_PAY, CARD, money, part

APPLIED, KNOWN = Disposition.APPLIED, Disposition.KNOWN
MANUAL = CaptureMethod.MANUAL


def _split(**said: Any) -> Story:
    """60.00 by Apple Pay and 40.00 by card; the first is held as `pi_1`, the other asked for."""
    story = Story(asked(steps=(part(APPLE_PAY, 6_000), part(CARD)), **said))
    story.answer()
    return story


def _answer(story: Story, outcome: Outcome, reference: str | None = None) -> None:
    """The only attempt that is out is answered."""
    (attempt,) = story.payment.to_send
    code = ErrorCode.DECLINED if outcome is Outcome.FAILED else None
    story.payment.settle(attempt.id, Execution(outcome, reference, error_code=code), NOW)
    story.save()


def test_a_part_of_a_split_taken_too_early_counts_once_the_rest_is_held() -> None:
    story = _split()
    assert story.hear(fact(FactKind.CAPTURED, 6_000)).disposition is APPLIED
    assert story.hear(fact(FactKind.CAPTURED, 6_000)).disposition is KNOWN
    assert state_of(story) is PaymentState.CONFIRMING
    assert story.postings == []
    _answer(story, Outcome.SUCCEEDED, "pi_2")
    _answer(story, Outcome.SUCCEEDED, "pi_2")
    assert state_of(story) is PaymentState.CAPTURED
    assert story.payment.total("captured") == money(10_000)
    assert keys(story.postings) == ["capture", "capture"]
    assert story.payment.total("platform_fee") == story.payment.plan.platform_fee  # type: ignore[union-attr]  # it is confirmed


def test_a_part_of_a_split_taken_too_early_is_returned_when_the_rest_fails() -> None:
    story = _split(split_policy=SplitPolicy.ALL_OR_NOTHING)
    story.hear(fact(FactKind.CAPTURED, 6_000))
    _answer(story, Outcome.FAILED)
    assert state_of(story) is PaymentState.FAILED
    assert [(each.operation, each.amount) for each in story.payment.to_send] == [
        (Operation.REFUND, money(6_000))
    ]
    story.answer()
    assert keys(story.postings) == ["late_success", "late_success_returned"]
    assert booked(story.postings) == {}


def test_what_the_processor_took_of_a_split_leaves_the_rest_to_the_merchant() -> None:
    story = _split(capture_method=MANUAL)
    _answer(story, Outcome.SUCCEEDED, "pi_2")
    story.hear(fact(FactKind.CAPTURED, 6_000))
    payment = story.payment
    assert state_of(story) is PaymentState.AUTHORIZED
    assert (payment.total("captured"), payment.total("held")) == (money(6_000), money(4_000))
    payment.capture(None, NOW, "request:1")
    story.answer()
    assert state_of(story) is PaymentState.CAPTURED
    assert payment.total("captured") == money(10_000)


def test_a_split_fails_when_one_hold_is_gone_before_the_other_is_made() -> None:
    story = _split()
    story.hear(fact(FactKind.CANCELED, native_reason="expired"))
    assert state_of(story) is PaymentState.CONFIRMING
    _answer(story, Outcome.SUCCEEDED, "pi_2")
    assert state_of(story) is PaymentState.FAILED
    assert [(each.operation, each.hold) for each in story.payment.to_send] == [
        (Operation.VOID, "pi_2")
    ]
