"""The plan of a request: its steps, what each takes and where it may go; or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.kernel.context import CoreRequestContext, PaymentInstrument, StepPreference
from services.kernel.errors import FailedPrecondition, FieldViolation, Reason
from services.kernel.money import Money
from services.plan_builder.domain.candidates import Wanted, decide, matching_rule
from services.plan_builder.domain.config import Catalogue, PlanningConfig, RoutingRule
from services.plan_builder.domain.plan import (
    Candidate,
    CandidateDecision,
    PaymentPlan,
    PaymentStep,
    routed_amount,
)
from services.plan_builder.domain.split import Bounds, divide


@dataclass(frozen=True, slots=True)
class _Share:
    """What a step is to take, before it is known where."""

    path: str
    instrument: PaymentInstrument
    amount: Money
    max_amount: Money


def build_plan(
    context: CoreRequestContext, config: PlanningConfig, catalogue: Catalogue
) -> PaymentPlan:
    """The plan; the same request, configuration and processors always give the same one."""
    _require_allowed_methods(context, config)
    steps: list[PaymentStep] = []
    violations: list[FieldViolation] = []
    for index, share in enumerate(_shares(context, config)):
        routed = routed_amount(share.amount, share.max_amount)
        wanted = Wanted(context, share.instrument, routed)
        rule = matching_rule(config, wanted)
        decisions = decide(config, catalogue, wanted, rule)
        if any(decision.is_kept for decision in decisions):
            steps.append(_step(index, share, config, rule, decisions))
        else:
            violations += _rejections(share.path, decisions)
    if violations:
        raise FailedPrecondition(
            "no processor is left that could take "
            + ", ".join(dict.fromkeys(v.field.partition(".")[0] for v in violations)),
            reason=Reason.NO_CANDIDATE,
            violations=violations,
            details={"config_version": str(config.version)},
        )
    return PaymentPlan(
        merchant_id=context.merchant_id,
        config_version=config.version,
        total=context.amount,
        split_policy=context.split_policy or config.split_policy,
        capture_method=context.capture_method or config.capture_method,
        steps=tuple(steps),
        platform_fee=config.fees.on(context.amount),
    )


def _step(
    index: int,
    share: _Share,
    config: PlanningConfig,
    rule: RoutingRule | None,
    decisions: Sequence[CandidateDecision],
) -> PaymentStep:
    return PaymentStep(
        index=index,
        instrument=share.instrument,
        amount=share.amount,
        max_amount=share.max_amount,
        candidates=tuple(
            Candidate(decision.processor_id, config.timeouts.get(decision.processor_id))
            for decision in decisions
            if decision.is_kept
        ),
        timeout=(rule and rule.step_timeout) or config.step_timeout,
        retry_policy=(rule and rule.retry_policy) or config.retry_policy,
        failover_on_soft_decline=rule is not None and rule.failover_on_soft_decline,
        decisions=tuple(decisions),
    )


def _preferences(context: CoreRequestContext) -> Sequence[StepPreference]:
    return context.steps or (StepPreference(context.instrument),)


def _require_allowed_methods(context: CoreRequestContext, config: PlanningConfig) -> None:
    if not config.allowed_methods:
        return
    violations = [
        FieldViolation(
            f"{_path(context, index)}.method",
            "methods.allowed",
            f"the merchant does not accept {preference.instrument.method}",
        )
        for index, preference in enumerate(_preferences(context))
        if preference.instrument.method not in config.allowed_methods
    ]
    if violations:
        raise FailedPrecondition(
            "the merchant does not accept the method",
            reason=Reason.POLICY_VIOLATED,
            violations=violations,
            details={"config_version": str(config.version)},
        )


def _shares(context: CoreRequestContext, config: PlanningConfig) -> Sequence[_Share]:
    """What each step takes, and the most it may take when others leave something over."""
    total = context.amount
    preferences = _preferences(context)
    bounds = [_bounds(preference, total, config) for preference in preferences]
    amounts = divide(total.amount_minor, bounds)
    if amounts is None:
        raise _indivisible(context, bounds, config)
    return [
        _Share(
            _path(context, index),
            preference.instrument,
            Money(amount_minor, total.currency),
            Money(bound.max_minor, total.currency),
        )
        for index, (preference, bound, amount_minor) in enumerate(
            zip(preferences, bounds, amounts, strict=True)
        )
        # A step that may take nothing is no part of the plan.
        if bound.max_minor >= bound.min_minor
    ]


def _bounds(preference: StepPreference, total: Money, config: PlanningConfig) -> Bounds:
    most = total if preference.max_amount is None else min(preference.max_amount, total)
    low_minor, high_minor = 1, most.amount_minor
    for limit in config.amount_limits:
        if limit.method is not None and limit.method is not preference.instrument.method:
            continue
        if limit.min_amount is not None and limit.min_amount.currency == total.currency:
            low_minor = max(low_minor, limit.min_amount.amount_minor)
        if limit.max_amount is not None and limit.max_amount.currency == total.currency:
            high_minor = min(high_minor, limit.max_amount.amount_minor)
    return Bounds(low_minor, high_minor)


def _indivisible(
    context: CoreRequestContext, bounds: Sequence[Bounds], config: PlanningConfig
) -> FailedPrecondition:
    total = context.amount
    violations = []
    for index, bound in enumerate(bounds):
        least = Money(bound.min_minor, total.currency)
        most = Money(bound.max_minor, total.currency)
        is_too_little = total < least
        violations.append(
            FieldViolation(
                f"{_path(context, index)}.amount",
                "limits.min_amount" if is_too_little else "limits.max_amount",
                f"takes {least} to {most}" if least <= most else f"cannot take the least, {least}",
            )
        )
    details = {"config_version": str(config.version), "amount": str(total)}
    if not context.steps:
        message = f"the merchant's limits forbid a payment of {total}"
        return FailedPrecondition(
            message, reason=Reason.POLICY_VIOLATED, violations=violations, details=details
        )
    return FailedPrecondition(
        f"the steps cannot make up {total}",
        reason=Reason.SPLIT_IMPOSSIBLE,
        violations=violations,
        details=details,
    )


def _rejections(path: str, decisions: Sequence[CandidateDecision]) -> Sequence[FieldViolation]:
    return [
        FieldViolation(
            f"{path}.candidates[{decision.processor_id}]",
            decision.rule,
            f"{decision.processor_id}: {decision.message}",
        )
        for decision in decisions
    ]


def _path(context: CoreRequestContext, index: int) -> str:
    """How the caller names the step: a payment of one step has no list of them."""
    return f"steps[{index}]" if context.steps else "payment"
