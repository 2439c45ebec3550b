"""How two plans of one request differ, and which rule of the later configuration that is due to.

What would happen is compared; a reason that is worded otherwise is no difference. Money is laid
out as a plan takes it, step after step: each minor unit that begins at one processor in the one and
at another in the other has moved, so that what has moved sums up whatever the steps are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from services.kernel.context import CoreRequestContext
from services.kernel.money import Money
from services.plan_builder.domain.candidates import Wanted, matching_rule
from services.plan_builder.domain.config import PlanningConfig, RoutingRule
from services.plan_builder.domain.plan import (
    CandidateDecision,
    PaymentPlan,
    PaymentStep,
    routed_amount,
)

FEES: Final = "fees"
"""The setting that a change of the platform's fee is due to."""

_LIMITS: Final = "amount_limits"
_PROCESSORS: Final = "processors"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would be otherwise, in a sentence, and the rule or setting it is due to."""

    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Move:
    """An amount that would begin at another processor."""

    from_processor_id: str
    to_processor_id: str
    amount: Money
    rule: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs between two plans; there are no moves without changes."""

    changes: Sequence[Change]
    moves: Sequence[Move]


def compare(
    before: PaymentPlan, after: PaymentPlan, context: CoreRequestContext, config: PlanningConfig
) -> Comparison:
    """What `after`, which follows from the request and the configuration, makes of `before`."""
    assert before.total == after.total, "both are plans of one request"
    changes: list[Change] = []
    if _instruments(before) == _instruments(after):
        for old, new in zip(before.steps, after.steps, strict=True):
            amount = routed_amount(new.amount, new.max_amount)
            rule = matching_rule(config, Wanted(context, new.instrument, amount))
            changes += _changes_of_step(old, new, rule)
    else:
        sentence = f"it is made up of {_split(after)} instead of {_split(before)}"
        changes.append(Change(_LIMITS, sentence))
    changes += _changes_of_whole(before, after)
    return Comparison(changes, list(_moves(before, after)))


def _changes_of_whole(before: PaymentPlan, after: PaymentPlan) -> Iterator[Change]:
    for rule, what, old, new in (
        ("capture_method", "the capture is", before.capture_method, after.capture_method),
        ("split_policy", "the split policy is", before.split_policy, after.split_policy),
        (FEES, "the fee is", before.platform_fee, after.platform_fee),
    ):
        if old != new:
            yield Change(rule, f"{what} {new} instead of {old}")


def _changes_of_step(
    before: PaymentStep, after: PaymentStep, rule: RoutingRule | None
) -> Iterator[Change]:
    step = f"step {after.index}"
    if before.amount != after.amount:
        yield Change(_LIMITS, f"{step} takes {after.amount} instead of {before.amount}")
    if before.max_amount != after.max_amount:
        most = f"{after.max_amount} at most instead of {before.max_amount}"
        yield Change(_LIMITS, f"{step} may take {most}")
    yield from _changes_of_route(before, after)
    yield from _changes_of_conduct(before, after, rule)


def _changes_of_route(before: PaymentStep, after: PaymentStep) -> Iterator[Change]:
    old, new = _processor_ids(before), _processor_ids(after)
    if old[0] != new[0]:
        reason = _reason(old[0], after)
        begins = f"step {after.index} begins at {new[0]} instead of {old[0]}"
        why = f"{reason.processor_id}: {reason.message}"
        yield Change(reason.rule, f"{begins} by {reason.rule} ({why})")
    elif old != new:
        place = next(
            place
            for place in range(1, max(len(old), len(new)))
            if old[place : place + 1] != new[place : place + 1]
        )
        reason = _reason(old[place], after) if place < len(old) else after.decisions[place]
        goes_on = f"{_listed(new[1:])} instead of {_listed(old[1:])}"
        yield Change(reason.rule, f"step {after.index} may go on to {goes_on}")
    timeouts = {each.processor_id: each.timeout for each in before.candidates}
    for candidate in after.candidates:
        name = candidate.processor_id
        if name in timeouts and timeouts[name] != candidate.timeout:
            yield Change(_PROCESSORS, f"{name} has another timeout in step {after.index}")


def _changes_of_conduct(
    before: PaymentStep, after: PaymentStep, rule: RoutingRule | None
) -> Iterator[Change]:
    """How long a step may take, and what it does when it fails."""
    by_rule = None if rule is None else f"rule:{rule.name}"
    if before.timeout != after.timeout:
        old, new = (f"{step.timeout.total_seconds():g} s" for step in (before, after))
        due_to = by_rule if rule is not None and rule.step_timeout else None
        yield Change(due_to or "step_timeout", f"step {after.index} has {new} instead of {old}")
    if before.retry_policy != after.retry_policy:
        due_to = by_rule if rule is not None and rule.retry_policy else None
        yield Change(due_to or "retry_policy", f"step {after.index} is retried otherwise")
    if before.failover_on_soft_decline != after.failover_on_soft_decline:
        does = "moves" if after.failover_on_soft_decline else "no longer moves"
        sentence = f"step {after.index} {does} on after a soft decline"
        yield Change(by_rule or "routing_rules", sentence)


def _moves(before: PaymentPlan, after: PaymentPlan) -> Iterator[Move]:
    for old, new, amount_minor in _overlaid(before.steps, after.steps):
        was, will = old.candidates[0].processor_id, new.candidates[0].processor_id
        if was != will:
            # Money that another step takes has moved with the split, wherever that step begins.
            is_same_step = old.instrument == new.instrument
            rule = _reason(was, new).rule if is_same_step else _LIMITS
            yield Move(was, will, Money(amount_minor, after.total.currency), rule)


def _overlaid(
    before: Sequence[PaymentStep], after: Sequence[PaymentStep]
) -> Iterator[tuple[PaymentStep, PaymentStep, int]]:
    """The total in stretches, each with the step that takes it in the one and in the other."""
    old_ends = list(accumulate(step.amount.amount_minor for step in before))
    new_ends = list(accumulate(step.amount.amount_minor for step in after))
    old = new = reached = 0
    while reached < old_ends[-1]:
        end = min(old_ends[old], new_ends[new])
        if end > reached:
            yield before[old], after[new], end - reached
        reached = end
        old, new = old + (old_ends[old] == end), new + (new_ends[new] == end)


def _reason(processor_id: str, after: PaymentStep) -> CandidateDecision:
    """Why a step does not have this processor where it had it before."""
    first = after.decisions[0]
    for decision in after.decisions:
        if decision.processor_id == processor_id:
            return first if decision.is_kept else decision
    if first.rule.startswith("rule:"):
        return first
    return CandidateDecision(processor_id, False, _PROCESSORS, "it is not among the processors")


def _instruments(plan: PaymentPlan) -> Sequence[object]:
    return [step.instrument for step in plan.steps]


def _processor_ids(step: PaymentStep) -> list[str]:
    return [candidate.processor_id for candidate in step.candidates]


def _split(plan: PaymentPlan) -> str:
    return _listed([f"{step.amount} by {step.instrument.method}" for step in plan.steps])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nobody"
