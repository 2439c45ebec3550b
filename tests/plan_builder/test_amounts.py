"""What each step takes: the whole amount, within every bound, or a refusal that says which."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.context import CaptureMethod, SplitPolicy
from services.kernel.errors import FailedPrecondition, Reason
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.config import AmountLimit, Fees
from services.plan_builder.domain.split import Bounds, divide
from tests.plan_builder.orders import (
    APPLE_PAY,
    CARD,
    catalogue,
    config,
    money,
    part,
    request,
)


def test_apple_pay_sixty_then_card_forty_with_fallback() -> None:
    context = request(money(10_000), part(APPLE_PAY, 6_000), part(CARD))
    plan = build_plan(context, config(), catalogue())
    assert [(s.instrument.method, s.amount, s.max_amount) for s in plan.steps] == [
        (APPLE_PAY, money(6_000), money(6_000)),
        # All of it, should Apple Pay fail.
        (CARD, money(4_000), money(10_000)),
    ]
    assert all(step.candidates for step in plan.steps)


def test_a_bounded_split_leaves_nothing_to_fall_back_on() -> None:
    context = request(money(10_000), part(APPLE_PAY, 6_000), part(CARD, 4_000))
    plan = build_plan(context, config(), catalogue())
    assert [(s.amount, s.max_amount) for s in plan.steps] == [
        (money(6_000), money(6_000)),
        (money(4_000), money(4_000)),
    ]


def test_a_step_for_which_nothing_is_left_stays_as_a_fallback() -> None:
    context = request(money(5_000), part(APPLE_PAY, 6_000), part(CARD, 4_000))
    plan = build_plan(context, config(), catalogue())
    assert [(s.index, s.amount, s.max_amount) for s in plan.steps] == [
        (0, money(5_000), money(5_000)),
        (1, money(0), money(4_000)),
    ]


def test_a_payment_without_a_split_is_one_step_of_the_whole_amount() -> None:
    (step,) = build_plan(request(money(1_250)), config(), catalogue()).steps
    assert (step.amount, step.max_amount) == (money(1_250), money(1_250))


def test_steps_that_cannot_make_up_the_amount_are_refused() -> None:
    context = request(money(10_000), part(APPLE_PAY, 4_000), part(CARD, 4_000))
    with pytest.raises(FailedPrecondition) as refusal:
        build_plan(context, config(), catalogue())
    assert refusal.value.reason is Reason.SPLIT_IMPOSSIBLE
    assert [(v.field, v.rule) for v in refusal.value.violations] == [
        ("steps[0].amount", "limits.max_amount"),
        ("steps[1].amount", "limits.max_amount"),
    ]


_CARD_ONLY = AmountLimit(CARD, money(500), money(2_000))


@pytest.mark.parametrize(
    ("amount", "limits", "rule"),
    [
        (money(2_001), [_CARD_ONLY], "limits.max_amount"),
        (money(499), [_CARD_ONLY], "limits.min_amount"),
        (money(2_001), [AmountLimit(None, None, money(2_000))], "limits.max_amount"),
        (money(1_999), [_CARD_ONLY, AmountLimit(None, None, money(100))], "limits.max_amount"),
    ],
)
def test_a_payment_beyond_the_merchants_limits_is_refused(
    amount: object, limits: list[AmountLimit], rule: str
) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        build_plan(request(amount), config(amount_limits=tuple(limits)), catalogue())  # type: ignore[arg-type]  # a row of a table
    assert refusal.value.reason is Reason.POLICY_VIOLATED
    assert [v.rule for v in refusal.value.violations] == [rule]


@pytest.mark.parametrize(
    "context",
    [
        request(money(500)),
        request(money(2_000)),
        request(money(1, "EUR")),
        request(money(9_000), method=APPLE_PAY),
    ],
)
def test_a_payment_within_the_limits_of_its_method_and_currency_is_planned(context: object) -> None:
    settings = config(amount_limits=(_CARD_ONLY,))
    (step,) = build_plan(context, settings, catalogue()).steps  # type: ignore[arg-type]  # a row of a table
    assert step.amount == context.amount  # type: ignore[attr-defined]  # as above


def test_limits_move_what_a_step_may_not_take_to_the_others() -> None:
    settings = config(amount_limits=(_CARD_ONLY,))
    context = request(money(10_000), part(CARD), part(APPLE_PAY))
    plan = build_plan(context, settings, catalogue())
    assert [s.amount for s in plan.steps] == [money(2_000), money(8_000)]


def test_an_earlier_step_gives_up_what_a_later_one_needs_to_reach_its_least() -> None:
    settings = config(amount_limits=(_CARD_ONLY,))
    context = request(money(6_100), part(APPLE_PAY, 6_000), part(CARD))
    plan = build_plan(context, settings, catalogue())
    assert [s.amount for s in plan.steps] == [money(5_600), money(500)]


def test_a_method_that_the_merchant_does_not_accept_is_refused() -> None:
    context = request(money(100), part(CARD, 60), part(APPLE_PAY))
    with pytest.raises(FailedPrecondition) as refusal:
        build_plan(context, config(allowed_methods=frozenset({CARD})), catalogue())
    assert refusal.value.reason is Reason.POLICY_VIOLATED
    assert [(v.field, v.rule) for v in refusal.value.violations] == [
        ("steps[1].method", "methods.allowed")
    ]


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        (money(10_000), money(320)),
        (money(10), money(10)),
        (money(10_000, "EUR"), money(290, "EUR")),
    ],
)
def test_the_fee_is_a_share_and_a_fixed_part_and_never_more_than_the_amount(
    amount: object, fee: object
) -> None:
    settings = config(fees=Fees(290, {"USD": money(30)}))
    assert build_plan(request(amount), settings, catalogue()).platform_fee == fee  # type: ignore[arg-type]  # a row of a table


def test_a_request_goes_before_the_configuration() -> None:
    chosen = build_plan(
        request(split_policy=SplitPolicy.PARTIAL, capture_method=CaptureMethod.MANUAL),
        config(),
        catalogue(),
    )
    assert (chosen.split_policy, chosen.capture_method) == (
        SplitPolicy.PARTIAL,
        CaptureMethod.MANUAL,
    )
    left = build_plan(request(), config(), catalogue())
    assert (left.split_policy, left.capture_method) == (
        SplitPolicy.ALL_OR_NOTHING,
        CaptureMethod.AUTOMATIC,
    )


_bounds = st.builds(Bounds, st.integers(1, 6), st.integers(0, 9))


@given(st.integers(1, 25), st.lists(_bounds, min_size=1, max_size=4))
def test_a_division_is_found_whenever_there_is_one_and_favours_the_earlier(
    total_minor: int, bounds: list[Bounds]
) -> None:
    each = [(0, *range(bound.min_minor, bound.max_minor + 1)) for bound in bounds]
    possible = [amounts for amounts in itertools.product(*each) if sum(amounts) == total_minor]
    found = divide(total_minor, bounds)
    assert (tuple(found) if found else None) == max(possible, default=None)
