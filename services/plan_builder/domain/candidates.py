"""Which processors may take a step, in which order, and why each of them does or does not."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.kernel.context import CoreRequestContext, PaymentInstrument
from services.kernel.money import Money
from services.plan_builder.domain.config import (
    Catalogue,
    Choice,
    PlanningConfig,
    ProcessorAbility,
    RoutingRule,
)
from services.plan_builder.domain.plan import CandidateDecision

_ORDER: Final = "order"
_WEIGHTS: Final = "weights"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A step that a processor is wanted for."""

    context: CoreRequestContext
    instrument: PaymentInstrument
    amount: Money


def matching_rule(config: PlanningConfig, wanted: Wanted) -> RoutingRule | None:
    """The first rule that the step fits."""
    for rule in config.rules:
        if rule.match.fits(wanted.context, wanted.instrument, wanted.amount):
            return rule
    return None


def decide(
    config: PlanningConfig, catalogue: Catalogue, wanted: Wanted, rule: RoutingRule | None
) -> Sequence[CandidateDecision]:
    """A decision on every processor of the configuration: those kept first, in their order."""
    choices = rule.targets if rule is not None and rule.targets else config.processors
    rejected = []
    kept = []
    for choice in choices:
        refusal = _refusal_by_rule(choice, rule) or _refusal_by_ability(
            catalogue.get(choice.processor_id), wanted
        )
        if refusal is None:
            kept.append(choice)
        else:
            rejected.append(CandidateDecision(choice.processor_id, False, *refusal))
    rejected += _passed_over(config, choices, rule)
    return [*_in_order(kept, wanted.context, rule), *rejected]


def _passed_over(
    config: PlanningConfig, choices: Sequence[Choice], rule: RoutingRule | None
) -> Sequence[CandidateDecision]:
    """The processors that the rule does not name."""
    if rule is None or choices is config.processors:
        return ()
    named = {choice.processor_id for choice in choices}
    message = f"the rule {rule.name} sends the step to others"
    return [
        CandidateDecision(choice.processor_id, False, f"rule:{rule.name}", message)
        for choice in config.processors
        if choice.processor_id not in named
    ]


def _refusal_by_rule(choice: Choice, rule: RoutingRule | None) -> tuple[str, str] | None:
    if rule is not None and choice.processor_id in rule.excluded:
        return f"rule:{rule.name}", f"the rule {rule.name} excludes it"
    return None


def _refusal_by_ability(ability: ProcessorAbility | None, wanted: Wanted) -> tuple[str, str] | None:
    """The first thing that the processor cannot do; what is not known of a request never counts."""
    if ability is None:
        return "processor.unknown", "there is no such processor any more"
    if not ability.is_enabled:
        return "processor.draining", "it takes no new payments for now"
    if not ability.can_authorize:
        return "operation.unsupported", "it cannot authorize"
    for rule, taken, asked in (
        ("method.unsupported", ability.methods, wanted.instrument.method),
        ("currency.unsupported", ability.currencies, wanted.amount.currency.code),
        ("card_network.unsupported", ability.card_networks, wanted.instrument.network),
        ("country.unsupported", ability.countries, wanted.context.country),
    ):
        if taken and asked is not None and asked not in taken:
            return rule, f"it does not take {asked}"
    return None


def _in_order(
    kept: Sequence[Choice], context: CoreRequestContext, rule: RoutingRule | None
) -> Sequence[CandidateDecision]:
    """Those kept: the one that the weights choose first, the others as they are listed."""
    by_rule = f"rule:{rule.name}" if rule is not None and rule.targets else None
    first = _first_by_weight(kept, context, by_rule or _WEIGHTS)
    label = by_rule or (_ORDER if first is None else _WEIGHTS)
    if first is None:
        return [
            CandidateDecision(choice.processor_id, True, label, f"number {number} in order")
            for number, choice in enumerate(kept, start=1)
        ]
    total = sum(choice.weight_percent for choice in kept)
    message = f"chosen to begin with by its weight, {first.weight_percent} of {total}"
    others = [choice for choice in kept if choice is not first]
    return [
        CandidateDecision(first.processor_id, True, label, message),
        *(
            CandidateDecision(choice.processor_id, True, label, f"number {number} after the first")
            for number, choice in enumerate(others, start=1)
        ),
    ]


def _first_by_weight(
    kept: Sequence[Choice], context: CoreRequestContext, salt: str
) -> Choice | None:
    """The processor on which this request's own place among all requests falls."""
    total = sum(choice.weight_percent for choice in kept)
    if total == 0:
        return None
    # A hash and not a draw: the same request, made again, is planned the same way.
    text = f"{context.merchant_id}\0{context.idempotency_key}\0{salt}"
    place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) * total >> 64
    for choice in kept:
        place -= choice.weight_percent
        if place < 0:
            return choice
    raise AssertionError("a place lies below the total")
