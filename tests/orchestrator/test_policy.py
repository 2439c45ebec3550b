"""What a merchant's policy says of requests, plans and steps, and what they count for."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.kernel.errors import FailedPrecondition, InvalidArgument, Reason
from services.kernel.ids import ApiKeyId
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.policy import (
    MAX_PAYMENT_MINOR,
    AmountLimit,
    AttemptLimit,
    Policy,
    VelocityLimit,
    VelocityScope,
    check_amount,
)
from services.orchestrator.translate.plan import plan_from_message
from tests.orchestrator.orders import execution
from tests.plan_builder.orders import APPLE_PAY, CARD, MERCHANT, money, part, request

_HOUR = timedelta(hours=1)
_KEY = ApiKeyId.new()


def _plan(**changed: Any) -> Plan:
    return plan_from_message(execution(**changed).plan)


def _at_most(amount_minor: int, currency: str = "USD") -> AmountLimit:
    return AmountLimit(None, None, money(amount_minor, currency))


def _velocity(scope: VelocityScope, count: int, most: int | None, code: str = "USD") -> Any:
    return VelocityLimit(scope, _HOUR, count, None if most is None else money(most, code))


@pytest.mark.parametrize(
    ("policy", "rule", "field"),
    [
        (Policy(allowed_methods=frozenset({APPLE_PAY})), "methods.allowed", "payment.method"),
        (Policy(amount_limits=(_at_most(9_999),)), "limits.max_amount", "payment.amount"),
        (
            Policy(amount_limits=(AmountLimit(CARD, money(10_001), None),)),
            "limits.min_amount",
            "payment.amount",
        ),
        (
            Policy(velocity_limits=(_velocity(VelocityScope.MERCHANT, 0, 9_999),)),
            "velocity.merchant.3600s.USD",
            "context.amount",
        ),
    ],
)
def test_what_the_policy_forbids_is_told_with_its_rule_and_field(
    policy: Policy, rule: str, field: str
) -> None:
    wanted = partial(policy.check_request, request())
    planned = partial(policy.check_plan, request(), _plan())
    for check in (wanted, planned):
        with pytest.raises(FailedPrecondition) as refused:
            check()
        assert refused.value.reason is Reason.POLICY_VIOLATED
        assert [(each.field, each.rule) for each in refused.value.violations] == [(field, rule)]


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(allowed_methods=frozenset({CARD})),
        Policy(amount_limits=(_at_most(10_000), AmountLimit(None, money(10_000), None))),
        Policy(amount_limits=(_at_most(1, "EUR"), AmountLimit(APPLE_PAY, None, money(1)))),
        Policy(velocity_limits=(_velocity(VelocityScope.USER, 1, 1, "EUR"),)),
        Policy(velocity_limits=(_velocity(VelocityScope.MERCHANT, 0, 10_000),)),
    ],
)
def test_what_it_says_nothing_against_is_allowed(policy: Policy) -> None:
    policy.check_request(request())
    policy.check_plan(request(), _plan())


def test_every_step_of_a_split_is_judged_by_its_own_method_and_share() -> None:
    wanted = request(None, part(APPLE_PAY, 6_000), part(CARD))
    plan = _plan(steps=wanted.steps)
    policy = Policy(
        allowed_methods=frozenset({CARD}),
        amount_limits=(AmountLimit(CARD, None, money(3_999)),),
    )
    with pytest.raises(FailedPrecondition) as refused:
        policy.check_plan(wanted, plan)
    assert [(each.field, each.rule) for each in refused.value.violations] == [
        ("steps[0].method", "methods.allowed"),
        ("steps[1].amount", "limits.max_amount"),
    ]
    with pytest.raises(FailedPrecondition) as refused:
        policy.check_request(wanted)
    assert [each.field for each in refused.value.violations] == ["steps[0].method"]


def test_a_step_that_only_takes_what_others_leave_may_be_planned_with_nothing() -> None:
    wanted = request(None, part(APPLE_PAY), part(CARD))
    plan = _plan(steps=wanted.steps)
    assert plan.steps[1].amount.is_zero
    policy = Policy(amount_limits=(AmountLimit(CARD, money(5_000), None),))
    policy.check_plan(wanted, plan)
    assert [each.rule for each in policy.step_violations("step", CARD, money(4_999))] == [
        "limits.min_amount"
    ]


def test_more_than_the_ledger_takes_is_no_amount() -> None:
    check_amount(money(MAX_PAYMENT_MINOR))
    with pytest.raises(InvalidArgument) as refused:
        check_amount(money(MAX_PAYMENT_MINOR + 1))
    assert refused.value.reason is Reason.AMOUNT_INVALID


@pytest.mark.parametrize(
    ("policy", "said", "drawn"),
    [
        (Policy(), {"user_id": "ada"}, [("attempts.per_user", "ada", 5)]),
        (Policy(), {"user_id": "ada", "api_key_id": _KEY}, [("attempts.per_user", "ada", 5)]),
        (Policy(), {"api_key_id": _KEY}, []),
        (Policy(), {}, []),
        (
            Policy(attempts_per_api_key=AttemptLimit(100, _HOUR)),
            {"api_key_id": _KEY},
            [("attempts.per_api_key", _KEY, 100)],
        ),
        (Policy(attempts_per_api_key=AttemptLimit(100, _HOUR)), {}, []),
        (
            Policy(attempts_per_user=AttemptLimit(2, _HOUR)),
            {"user_id": "ada"},
            [("attempts.per_user", "ada", 2)],
        ),
    ],
)
def test_an_attempt_counts_for_its_user_and_without_one_for_the_api_key(
    policy: Policy, said: dict[str, Any], drawn: list[tuple[str, str, int]]
) -> None:
    draws = policy.attempt_draws(request(**said))
    assert [
        (draw.quota.key.rule, draw.quota.key.subject, draw.quota.max_count) for draw in draws
    ] == drawn
    assert all(draw.quota.key.merchant_id == MERCHANT for draw in draws)


@pytest.mark.parametrize(
    ("limit", "said", "drawn"),
    [
        (_velocity(VelocityScope.USER, 3, None), {"user_id": "ada"}, [("ada", 3, None, 0)]),
        (_velocity(VelocityScope.USER, 3, None), {}, []),
        (_velocity(VelocityScope.MERCHANT, 3, None), {}, [("all", 3, None, 0)]),
        (_velocity(VelocityScope.MERCHANT, 0, 50_000), {}, [("all", 0, 50_000, 10_000)]),
        # In another currency only the count says anything.
        (_velocity(VelocityScope.MERCHANT, 3, 50_000, "EUR"), {}, [("all", 3, None, 0)]),
        (_velocity(VelocityScope.MERCHANT, 0, 50_000, "EUR"), {}, []),
    ],
)
def test_a_payment_counts_for_the_velocity_limits_that_say_something_about_it(
    limit: VelocityLimit, said: dict[str, Any], drawn: list[tuple[str, int, int | None, int]]
) -> None:
    draws = Policy(velocity_limits=(limit,)).velocity_draws(request(**said))
    assert [
        (
            draw.quota.key.subject,
            draw.quota.max_count,
            draw.quota.max_amount_minor,
            draw.amount_minor,
        )
        for draw in draws
    ] == drawn
