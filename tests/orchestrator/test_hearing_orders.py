"""Whatever the order in which a payment is told of, it ends the same."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import permutations
from typing import Any, Final

import pytest

from services.kernel.outcome import Outcome
from services.orchestrator.domain.applied import FactKind, ProcessorEvent
from services.orchestrator.domain.attempt import Step
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.state import Operation, PaymentState
from tests.orchestrator.news import NOW, Story, asked, dispute_fact, fact, keys, refund_fact
from tests.plan_builder.orders import money

ORDER: Final = asked()

Act = Callable[[Story], None]


def _tell(make: Callable[[Story], ProcessorEvent]) -> Act:
    """Tell a fact; told again, it is by an event of another id."""

    def tell(story: Story) -> None:
        story.hear(make(story))

    return tell


def _held(story: Story) -> ProcessorEvent:
    return fact(FactKind.AUTHORIZED, 10_000, attempt_id=story.first.id)


def _captured(story: Story) -> ProcessorEvent:
    return fact(FactKind.CAPTURED, 10_000, attempt_id=story.first.id)


def _refunded(_: Story) -> ProcessorEvent:
    return refund_fact(FactKind.REFUND_SUCCEEDED, 3_000)


def _opened(_: Story) -> ProcessorEvent:
    return dispute_fact(FactKind.DISPUTE_OPENED)


def _won(_: Story) -> ProcessorEvent:
    return dispute_fact(FactKind.DISPUTE_WON)


ACTS: Final[Sequence[Act]] = [
    Story.answer,
    *map(_tell, (_held, _captured, _refunded, _opened, _won)),
]
DOUBTFUL_ACTS: Final[Sequence[Act]] = [lambda story: story.answer(Outcome.UNKNOWN), *ACTS[1:]]
AT_ONCE_ACTS: Final[Sequence[Act]] = [Story.take, *ACTS[1:]]


def _ending(acts: Iterable[Act]) -> Any:
    """What a payment comes to, but for ids that are made anew each time."""
    story = Story(ORDER)
    for act in acts:
        act(story)
    story.finish()
    assert not story.kept
    payment = story.payment
    operations = [each.operation for each in payment.attempts]
    # Whoever tells of the whole amount first may tell of the hold with it.
    assert operations in ([Operation.AUTHORIZE], [Operation.AUTHORIZE, Operation.CAPTURE])
    return (
        payment.state,
        payment.standing.needs_reconciliation,
        [_without(step, "id") for step in payment.steps],
        [_without(each, "id", "step_id") for each in payment.disputes],
        [(each.state, each.amount, each.fee_returned) for each in payment.refunds],
        sorted(
            (str(each.kind), str(each.amount), [str(entry) for entry in each.entries])
            for each in story.postings
        ),
    )


def _without(part: Step | Dispute, *ids: str) -> dict[str, Any]:
    return {each.name: getattr(part, each.name) for each in fields(part) if each.name not in ids}


EXPECTED: Final = _ending(ACTS)


def test_in_the_order_of_their_happening_it_comes_to_what_is_expected() -> None:
    story = Story(ORDER)
    for act in ACTS:
        act(story)
    story.finish()
    payment = story.payment
    assert payment.state is PaymentState.DISPUTED
    assert (payment.total("captured"), payment.total("refunded")) == (money(10_000), money(3_000))
    assert (payment.total("disputed"), payment.total("excess")) == (money(0), money(0))
    assert keys(story.postings) == ["capture", "refund"]
    assert [each.operation for each in payment.attempts] == [Operation.AUTHORIZE, Operation.CAPTURE]
    assert not payment.standing.needs_reconciliation


@pytest.mark.parametrize(
    "acts", [ACTS, DOUBTFUL_ACTS, AT_ONCE_ACTS], ids=["answered", "in doubt", "taken at once"]
)
def test_every_order_comes_to_the_same_told_once_or_twice_or_all_over(
    acts: Sequence[Act],
) -> None:
    for order in permutations(acts):
        assert _ending(order) == EXPECTED
        assert _ending(act for act in order for _ in range(2)) == EXPECTED
        assert _ending((*order, *reversed(order))) == EXPECTED


def test_orders_with_duplicates_anywhere_come_to_the_same() -> None:
    chance = random.Random(7)
    for _ in range(1_500):
        order = [*ACTS, *ACTS, chance.choice(ACTS)]
        chance.shuffle(order)
        assert _ending(order) == EXPECTED, order


_WON_FACTS: Final = (
    FactKind.DISPUTE_OPENED,
    FactKind.DISPUTE_FUNDS_WITHDRAWN,
    FactKind.DISPUTE_WON,
    FactKind.DISPUTE_FUNDS_REINSTATED,
)
_LOST_FACTS: Final = (
    FactKind.DISPUTE_OPENED,
    FactKind.DISPUTE_FUNDS_WITHDRAWN,
    FactKind.DISPUTE_LOST,
)


def _dispute_act(kind: FactKind, place: int) -> Act:
    fee = money(1_500) if kind is FactKind.DISPUTE_FUNDS_WITHDRAWN else None
    at = NOW.replace(second=place)
    return _tell(lambda _: dispute_fact(kind, fee=fee, occurred_at=at))


@pytest.mark.parametrize(
    ("kinds", "booked"),
    [
        (_WON_FACTS, ["capture", "dispute_fee", "dispute_opened", "dispute_won", "refund"]),
        (_LOST_FACTS, ["capture", "dispute_fee", "dispute_lost", "dispute_opened", "refund"]),
    ],
    ids=["won", "lost"],
)
def test_every_order_of_a_dispute_s_facts_comes_to_the_same_dispute_and_postings(
    kinds: Sequence[FactKind], booked: list[str]
) -> None:
    refund = _tell(_refunded)
    before: list[Act] = [Story.answer, Story.answer]
    facts = [_dispute_act(kind, place) for place, kind in enumerate(kinds)]
    expected = _ending([*before, *facts, refund])
    (dispute,) = expected[3]
    assert dispute["opened_at"] == NOW.replace(second=0)
    assert dispute["fee"] == money(1_500)
    for order in permutations([*facts, refund]):
        assert _ending([*before, *order]) == expected
        assert _ending([*before, *order, *reversed(order)]) == expected
    story = Story(ORDER)
    for act in (*before, *facts, refund):
        act(story)
    assert keys(story.postings) == booked


def test_a_dispute_and_a_refund_of_the_same_money_come_to_the_same_in_both_orders() -> None:
    refund = _tell(lambda _: refund_fact(FactKind.REFUND_SUCCEEDED, 4_000))
    dispute = _tell(lambda _: dispute_fact(FactKind.DISPUTE_FUNDS_WITHDRAWN, 10_000))
    before: list[Act] = [Story.answer, Story.answer]
    one, other = _ending([*before, refund, dispute]), _ending([*before, dispute, refund])
    assert one == other
    for part in (*one[2], *one[3]):
        assert part["excess"] == money(4_000), "what does not fit"
