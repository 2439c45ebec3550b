"""Where a step may go: every rule, one case each, with the reason it gives."""

from datetime import timedelta
from typing import Any

import pytest

from services.kernel.context import CardNetwork, CoreRequestContext
from services.kernel.errors import FailedPrecondition, Reason
from services.kernel.retry import RetryPolicy
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.config import (
    AmountBand,
    Catalogue,
    PlanningConfig,
    ProcessorAbility,
)
from services.plan_builder.domain.plan import PaymentStep
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

AMEX = CardNetwork.AMERICAN_EXPRESS
VISA = CardNetwork.VISA


def _step(
    context: CoreRequestContext, config: PlanningConfig, processors: Catalogue | None = None
) -> PaymentStep:
    (step,) = build_plan(context, config, processors or catalogue()).steps
    return step


def _order(step: PaymentStep) -> list[str]:
    return [candidate.processor_id for candidate in step.candidates]


def _band(from_minor: int | None, below_minor: int | None) -> AmountBand:
    return AmountBand(
        None if from_minor is None else money(from_minor),
        None if below_minor is None else money(below_minor),
    )


_FITS: list[tuple[dict[str, Any], CoreRequestContext]] = [
    ({"methods": [CARD]}, request(method=CARD)),
    ({"methods": [CARD, APPLE_PAY]}, request(method=APPLE_PAY)),
    ({"card_networks": [AMEX]}, request(network=AMEX)),
    ({"currencies": ["USD", "EUR"]}, request(money(5, "EUR"))),
    ({"amount_band": _band(5_000, 5_001)}, request(money(5_000))),
    ({"amount_band": _band(None, 5_001)}, request(money(1))),
    ({"amount_band": _band(5_000, None)}, request(money(2**63 - 1))),
    ({"countries": ["DE", "AT"]}, request(country="AT")),
    ({"metadata": {"segment": "vip"}}, request(metadata={"segment": "vip", "other": "x"})),
    ({"methods": [CARD], "countries": ["DE"]}, request(country="DE")),
    ({}, request()),
]

_MISSES: list[tuple[dict[str, Any], CoreRequestContext]] = [
    ({"methods": [APPLE_PAY]}, request(method=CARD)),
    ({"card_networks": [AMEX]}, request(network=VISA)),
    ({"card_networks": [AMEX]}, request()),
    ({"currencies": ["EUR"]}, request()),
    ({"amount_band": _band(5_000, 5_001)}, request(money(5_001))),
    ({"amount_band": _band(5_000, 5_001)}, request(money(4_999))),
    ({"amount_band": _band(5_000, None)}, request(money(5_000, "EUR"))),
    ({"countries": ["DE"]}, request(country="FR")),
    ({"countries": ["DE"]}, request()),
    ({"metadata": {"segment": "vip"}}, request(metadata={"segment": "new"})),
    ({"metadata": {"segment": "vip"}}, request()),
    ({"methods": [CARD], "countries": ["DE"]}, request(country="FR")),
]


@pytest.mark.parametrize(("fits", "context"), _FITS)
def test_a_step_that_fits_a_rule_goes_where_the_rule_says(
    fits: dict[str, Any], context: CoreRequestContext
) -> None:
    step = _step(context, config(rules=[rule("r", "c", "b", **fits)]))
    assert _order(step) == ["c", "b"]
    assert [(d.processor_id, d.is_kept, d.rule) for d in step.decisions] == [
        ("c", True, "rule:r"),
        ("b", True, "rule:r"),
        ("a", False, "rule:r"),
    ]


@pytest.mark.parametrize(("fits", "context"), _MISSES)
def test_a_step_that_misses_a_rule_goes_in_the_order_of_the_configuration(
    fits: dict[str, Any], context: CoreRequestContext
) -> None:
    step = _step(context, config(rules=[rule("r", "c", **fits)]))
    assert _order(step) == ["a", "b", "c"]
    assert {decision.rule for decision in step.decisions} == {"order"}


def test_the_first_rule_that_fits_decides() -> None:
    rules = [rule("eur", "c", currencies=["EUR"]), rule("one", "b"), rule("two", "a")]
    assert _order(_step(request(), config(rules=rules))) == ["b"]
    assert _order(_step(request(money(5, "EUR")), config(rules=rules))) == ["c"]


def test_what_a_rule_excludes_is_no_candidate() -> None:
    step = _step(request(), config(rules=[rule("no-b", excluded=["b"])]))
    assert _order(step) == ["a", "c"]
    (rejected,) = (decision for decision in step.decisions if not decision.is_kept)
    assert (rejected.processor_id, rejected.rule) == ("b", "rule:no-b")


@pytest.mark.parametrize(
    ("unable", "context", "reason"),
    [
        (ability("a", is_enabled=False), request(), "processor.draining"),
        (ability("a", can_authorize=False), request(), "operation.unsupported"),
        (ability("a", methods=frozenset({APPLE_PAY})), request(), "method.unsupported"),
        (ability("a", currencies=frozenset({"EUR"})), request(), "currency.unsupported"),
        (
            ability("a", card_networks=frozenset({VISA})),
            request(network=AMEX),
            "card_network.unsupported",
        ),
        (ability("a", countries=frozenset({"DE"})), request(country="FR"), "country.unsupported"),
    ],
)
def test_a_processor_that_cannot_take_the_step_is_no_candidate(
    unable: ProcessorAbility, context: CoreRequestContext, reason: str
) -> None:
    step = _step(context, config(), catalogue(unable))
    assert _order(step) == ["b", "c"]
    assert (step.decisions[-1].processor_id, step.decisions[-1].rule) == ("a", reason)


@pytest.mark.parametrize(
    "choosy",
    [
        ability("a", card_networks=frozenset({VISA})),
        ability("a", countries=frozenset({"DE"})),
    ],
)
def test_what_a_request_leaves_open_rejects_nobody(choosy: ProcessorAbility) -> None:
    assert _order(_step(request(), config(), catalogue(choosy))) == ["a", "b", "c"]


def test_a_processor_that_is_gone_is_no_candidate() -> None:
    step = _step(request(), config("gone", "a"))
    assert _order(step) == ["a"]
    assert step.decisions[-1].rule == "processor.unknown"


def test_without_any_candidate_each_rejection_is_told() -> None:
    processors = catalogue(
        ability("a", currencies=frozenset({"EUR"})), ability("b", methods=frozenset({APPLE_PAY}))
    )
    with pytest.raises(FailedPrecondition) as refusal:
        build_plan(request(), config(rules=[rule("not-c", excluded=["c"])]), processors)
    assert refusal.value.reason is Reason.NO_CANDIDATE
    assert [(v.field, v.rule) for v in refusal.value.violations] == [
        ("payment.candidates[a]", "currency.unsupported"),
        ("payment.candidates[b]", "method.unsupported"),
        ("payment.candidates[c]", "rule:not-c"),
    ]


def test_a_currency_that_no_candidate_takes_is_refused() -> None:
    processors = {name: ability(name, currencies=frozenset({"USD"})) for name in ("a", "b", "c")}
    with pytest.raises(FailedPrecondition) as refusal:
        build_plan(request(money(5_000, "JPY")), config(), processors)
    assert refusal.value.reason is Reason.NO_CANDIDATE
    assert {v.rule for v in refusal.value.violations} == {"currency.unsupported"}


def test_in_a_split_the_step_without_candidates_is_named() -> None:
    processors = {name: ability(name, methods=frozenset({CARD})) for name in ("a", "b", "c")}
    context = request(money(100), part(CARD, 60), part(APPLE_PAY, 40))
    with pytest.raises(FailedPrecondition) as refusal:
        build_plan(context, config("a"), processors)
    assert [v.field for v in refusal.value.violations] == ["steps[1].candidates[a]"]


def test_a_rule_sets_how_its_steps_are_carried_out() -> None:
    once = RetryPolicy(max_tries=1)
    slow = timedelta(seconds=45)
    rules = [
        rule("amex", "a", card_networks=[AMEX], step_timeout=slow, retry_policy=once,
             failover_on_soft_decline=True)
    ]  # fmt: skip
    settings = config(rules=rules, timeouts={"a": timedelta(seconds=8)})
    matched = _step(request(network=AMEX), settings)
    assert (matched.timeout, matched.retry_policy) == (slow, once)
    assert matched.failover_on_soft_decline
    assert matched.candidates[0].timeout == timedelta(seconds=8)
    other = _step(request(), settings)
    assert (other.timeout, other.retry_policy) == (timedelta(seconds=30), RetryPolicy())
    assert not other.failover_on_soft_decline


def test_weights_choose_whom_to_begin_with_and_keep_the_others_in_order() -> None:
    settings = config(("a", 50), ("b", 30), ("c", 20))
    counts = {"a": 0, "b": 0, "c": 0}
    for number in range(2_000):
        step = _step(request(idempotency_key=f"order-{number}"), settings)
        order = _order(step)
        counts[order[0]] += 1
        assert order[1:] == [name for name in "abc" if name != order[0]]
        assert {decision.rule for decision in step.decisions} == {"weights"}
    # The keys are fixed, so the counts are too: no chance of a failure by chance.
    assert 940 < counts["a"] < 1_060
    assert 540 < counts["b"] < 660


def test_the_same_request_falls_to_the_same_processor() -> None:
    settings = config(("a", 50), ("b", 50))
    first = {_order(_step(request(metadata={"n": str(n)}), settings))[0] for n in range(50)}
    assert len(first) == 1


def test_the_weight_of_a_rejected_processor_goes_to_the_others() -> None:
    settings = config(("a", 90), ("b", 5), ("c", 5))
    processors = catalogue(ability("a", is_enabled=False))
    starts = [
        _order(_step(request(idempotency_key=f"order-{n}"), settings, processors))[0]
        for n in range(500)
    ]
    assert 200 < starts.count("b") < 300
    assert starts.count("a") == 0


def test_when_only_processors_of_no_weight_are_left_their_order_decides() -> None:
    processors = catalogue(ability("a", is_enabled=False))
    assert _order(_step(request(), config(("a", 100), "b", "c"), processors)) == ["b", "c"]


def test_the_weights_of_a_rule_choose_among_its_targets() -> None:
    settings = config(rules=[rule("r", ("b", 50), ("c", 50))])
    starts = {_order(_step(request(idempotency_key=f"order-{n}"), settings))[0] for n in range(100)}
    assert starts == {"b", "c"}
