"""What another configuration changes of a plan, due to which rule, and how much money moves."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from services.kernel.context import CaptureMethod, CardNetwork, CoreRequestContext, SplitPolicy
from services.kernel.errors import FailedPrecondition
from services.kernel.ids import PaymentId
from services.kernel.money import Money
from services.kernel.retry import RetryPolicy
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.comparison import Comparison, Move, compare
from services.plan_builder.domain.config import AmountLimit, Catalogue, Fees, PlanningConfig
from services.plan_builder.domain.plan import PaymentPlan
from services.plan_builder.domain.replay import (
    Configurations,
    PlanDifference,
    RecordedRequest,
    Tally,
    difference,
)
from services.plan_builder.translate.plan import plan_from_message, plan_message
from tests.plan_builder.many_plans import cases
from tests.plan_builder.orders import (
    APPLE_PAY,
    CARD,
    ability,
    catalogue,
    config,
    money,
    part,
    request,
    rule,
)

_AMEX = request(network=CardNetwork.AMERICAN_EXPRESS)
_SPLIT = request(money(10_000), part(APPLE_PAY, 6_000), part(CARD))


def _compared(
    before: PlanningConfig,
    after: PlanningConfig,
    context: CoreRequestContext | None = None,
    processors: Catalogue | None = None,
) -> Comparison:
    """What differs; both plans are made with the same processors."""
    wish = context or request()
    there = processors or catalogue()
    plans = [build_plan(wish, each, there) for each in (before, after)]
    return compare(plans[0], plans[1], wish, after)


def _told(comparison: Comparison) -> list[tuple[str, str]]:
    return [(change.rule, change.sentence) for change in comparison.changes]


def test_the_same_configuration_changes_nothing() -> None:
    assert _compared(config(), config(version=8)) == Comparison([], [])


def test_a_routing_rule_moves_the_money_that_it_matches() -> None:
    elsewhere = config(rules=[rule("amex", "b", "a", card_networks={CardNetwork.AMERICAN_EXPRESS})])
    found = _compared(config(), elsewhere, _AMEX)
    sentence = "step 0 begins at b instead of a by rule:amex (b: number 1 in order)"
    assert _told(found) == [("rule:amex", sentence)]
    assert found.moves == [Move("a", "b", money(10_000), "rule:amex")]
    assert _compared(config(), elsewhere) == Comparison([], [])


@pytest.mark.parametrize(
    ("after", "due_to"),
    [
        (config("b", "a", "c"), "order"),
        (config("b", "c"), "processors"),
        (config(("a", 0), ("b", 100), "c"), "weights"),
        (config(rules=[rule("not-a", excluded=["a"])]), "rule:not-a"),
        (config(rules=[rule("to-b", "b")]), "rule:to-b"),
        (config("b", rules=[rule("to-b", "b")]), "rule:to-b"),
    ],
)
def test_a_step_that_begins_elsewhere_names_what_sent_it_there(
    after: PlanningConfig, due_to: str
) -> None:
    found = _compared(config(), after)
    assert found.moves == [Move("a", "b", money(10_000), due_to)]
    assert found.changes[0].rule == due_to


def test_what_a_processor_cannot_take_is_the_reason_when_a_rule_is_gone() -> None:
    """Recorded before the processor gave the currency up."""
    wish = request()
    before = build_plan(wish, config(), catalogue())
    without = catalogue(ability("a", currencies=frozenset({"EUR"})))
    after = build_plan(wish, config(), without)
    (move,) = compare(before, after, wish, config()).moves
    assert move == Move("a", "b", money(10_000), "currency.unsupported")


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (config("a", "c", "b"), ("order", "step 0 may go on to c, b instead of b, c")),
        (config("a", "b"), ("processors", "step 0 may go on to b instead of b, c")),
        (config("a"), ("processors", "step 0 may go on to nobody instead of b, c")),
        (config("a", "b", "c", "d"), ("order", "step 0 may go on to b, c, d instead of b, c")),
        (
            config(fees=Fees(100, {})),
            ("fees", "the fee is 1.00 USD instead of 3.20 USD"),
        ),
        (
            config(capture_method=CaptureMethod.MANUAL),
            ("capture_method", "the capture is manual instead of automatic"),
        ),
        (
            config(split_policy=SplitPolicy.PARTIAL),
            ("split_policy", "the split policy is partial instead of all_or_nothing"),
        ),
        (
            config(step_timeout=timedelta(seconds=5)),
            ("step_timeout", "step 0 has 5 s instead of 30 s"),
        ),
        (
            config(rules=[rule("hurry", step_timeout=timedelta(seconds=5))]),
            ("rule:hurry", "step 0 has 5 s instead of 30 s"),
        ),
        (
            config(retry_policy=RetryPolicy(max_tries=1)),
            ("retry_policy", "step 0 is retried otherwise"),
        ),
        (
            config(rules=[rule("once", retry_policy=RetryPolicy(max_tries=1))]),
            ("rule:once", "step 0 is retried otherwise"),
        ),
        (
            config(rules=[rule("soft", failover_on_soft_decline=True)]),
            ("rule:soft", "step 0 moves on after a soft decline"),
        ),
        (
            config(timeouts={"b": timedelta(seconds=3)}),
            ("processors", "b has another timeout in step 0"),
        ),
    ],
)
def test_each_other_difference_is_told_once_and_moves_no_money(
    after: PlanningConfig, told: tuple[str, str]
) -> None:
    found = _compared(config(), after, processors=catalogue(ability("d")))
    assert _told(found) == [told]
    assert found.moves == []


def test_a_limit_moves_what_one_step_may_no_longer_take() -> None:
    """60 and 40 become 50 and 50, and cards begin at b."""
    to_b = rule("cards", "b", methods={CARD})
    limit = AmountLimit(APPLE_PAY, None, money(5_000))
    found = _compared(config(rules=[to_b]), config(rules=[to_b], amount_limits=(limit,)), _SPLIT)
    assert _told(found) == [
        ("amount_limits", "step 0 takes 50.00 USD instead of 60.00 USD"),
        ("amount_limits", "step 0 may take 50.00 USD at most instead of 60.00 USD"),
        ("amount_limits", "step 1 takes 50.00 USD instead of 40.00 USD"),
    ]
    assert found.moves == [Move("a", "b", money(1_000), "amount_limits")]


def test_a_step_that_is_dropped_is_told_as_another_split() -> None:
    to_b = rule("cards", "b", methods={CARD})
    limit = AmountLimit(APPLE_PAY, money(7_000), None)
    found = _compared(config(rules=[to_b]), config(rules=[to_b], amount_limits=(limit,)), _SPLIT)
    split = (
        "it is made up of 100.00 USD by card instead of 60.00 USD by apple_pay, 40.00 USD by card"
    )
    assert _told(found) == [("amount_limits", split)]
    assert found.moves == [Move("a", "b", money(6_000), "amount_limits")]


def test_a_fallback_that_would_go_elsewhere_moves_no_money() -> None:
    wish = request(money(5_000), part(APPLE_PAY), part(CARD))
    found = _compared(config(), config(rules=[rule("cards", "b", methods={CARD})]), wish)
    assert [change.rule for change in found.changes] == ["rule:cards"]
    assert found.moves == []


def test_a_stored_plan_is_read_back_as_it_was() -> None:
    """Otherwise a replay would find differences that are none."""
    for context, settings, processors in cases(seed=11, count=300):
        try:
            plan = build_plan(context, settings, processors)
        except FailedPrecondition:
            continue
        assert plan_from_message(plan_message(plan)) == plan


def _found(plan: PaymentPlan | None, configs: Configurations, **wish: Any) -> PlanDifference | None:
    return difference(RecordedRequest(PaymentId.new(), request(**wish), plan), configs)


def test_what_would_be_refused_names_first_what_bars_it_from_where_it_began() -> None:
    plan = build_plan(request(), config("b", "a"), catalogue())
    barring = config("a", "b", rules=[rule("no-b", excluded=["b"])])
    there = catalogue(ability("a", is_enabled=False))
    found = _found(plan, Configurations(barring, config(), there))
    assert found is not None
    assert isinstance(found.after, FailedPrecondition)
    assert found.rules == ["rule:no-b", "processor.draining"]
    assert found.fee_change == -plan.platform_fee


def test_a_request_without_a_plan_is_held_against_the_configuration_of_today() -> None:
    limit = AmountLimit(CARD, None, money(9_000))
    limited, free = config(amount_limits=(limit,)), config()
    there = catalogue()
    assert _found(None, Configurations(free, free, there)) is None
    assert _found(None, Configurations(limited, limited, there)) is None
    found = _found(None, Configurations(tried=free, today=limited, catalogue=there))
    assert found is not None
    assert isinstance(found.before, FailedPrecondition)
    assert found.rules == ["limits.max_amount"]
    assert found.fee_change == money(320)


def _distribution(plans: list[PaymentPlan]) -> Counter[tuple[str, str]]:
    """What begins where, in minor units."""
    found: Counter[tuple[str, str]] = Counter()
    for plan in plans:
        for step in plan.steps:
            where = step.candidates[0].processor_id, step.amount.currency.code
            found[where] += step.amount.amount_minor
    return found


def _minor(amounts: tuple[Money, ...]) -> Counter[str]:
    return Counter({each.currency.code: each.amount_minor for each in amounts})


@pytest.mark.parametrize("seed", range(5))
def test_what_moves_is_exactly_what_begins_elsewhere(seed: int) -> None:
    """Whatever the requests, the shifts, rules, refusals and fees sum to the difference."""
    tally = Tally()
    chance = random.Random(seed)
    before, after = [], []
    fees: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for context, today, there in cases(seed, 200):
        tried = config(
            *chance.sample(["a", "b", "c"], 3), rules=today.rules[1:], fees=Fees(100, {})
        )
        try:
            plan = build_plan(context, today, there)
        except FailedPrecondition:
            continue
        recorded = RecordedRequest(PaymentId.new(), context, plan)
        found = difference(recorded, Configurations(tried, today, there))
        tally.add(found)
        if found is not None:
            fees[context.amount.currency.code] += found.fee_change.amount_minor
        if found is not None and isinstance(found.after, FailedPrecondition):
            refused[context.amount.currency.code] += context.amount.amount_minor
            continue
        before.append(plan)
        after.append(build_plan(context, tried, there))
    moved = Counter(_distribution(before))
    for shift in tally.shifts():
        for code, minor in _minor(shift.amounts.listed()).items():
            moved[shift.from_processor_id, code] -= minor
            moved[shift.to_processor_id, code] += minor
    assert {k: v for k, v in moved.items() if v} == dict(_distribution(after))
    assert tally.requests_rerouted > 10
    assert _minor(tally.refused.listed()) == refused
    assert _minor(tally.fee_changes.listed()) == Counter({k: v for k, v in fees.items() if v})
    _assert_rules_sum_up(tally)


def _assert_rules_sum_up(tally: Tally) -> None:
    moved: Counter[str] = Counter()
    for shift in tally.shifts():
        moved.update(_minor(shift.amounts.listed()))
    by_rule: dict[str, Counter[str]] = {"moved": Counter(), "refused": Counter(), "fees": Counter()}
    for effect in tally.effects():
        assert effect.request_count > 0, f"{effect.rule} has a part in what it moves"
        by_rule["moved"].update(_minor(effect.moved.listed()))
        by_rule["refused"].update(_minor(effect.refused.listed()))
        by_rule["fees"].update(_minor(effect.fee_changes.listed()))
    assert by_rule["moved"] == moved
    assert by_rule["refused"] == _minor(tally.refused.listed())
    assert by_rule["fees"] == _minor(tally.fee_changes.listed())
