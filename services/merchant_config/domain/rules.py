"""What a routing rule must be like, on its own and among the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from services.kernel.context import MAX_METADATA_ENTRIES, PaymentMethod
from services.kernel.errors import FieldViolation
from services.merchant_config.domain.checks import (
    COUNTRY,
    CURRENCY,
    STEP_TIMEOUT_MAX,
    check_code,
    check_money_range,
    check_name,
    check_retry_policy,
    check_span,
    check_text,
    check_unique,
    check_weights,
)
from services.merchant_config.domain.reach import (
    Box,
    Reach,
    differ_in_amounts_alone,
    is_empty,
    overlaps,
)
from services.merchant_config.domain.settings import (
    AmountBand,
    MerchantSettings,
    ProcessorFacts,
    RouteMatch,
    RoutingRule,
)


def check_rules(
    settings: MerchantSettings, known: Mapping[str, ProcessorFacts]
) -> Iterator[FieldViolation]:
    """Every rule by itself, then whether the earlier ones leave anything for it to match."""
    rules = settings.routing_rules
    yield from check_unique("routing_rules", "name", [rule.name for rule in rules])
    listed = [preference.processor_id for preference in settings.processors]
    legible = []
    for number, rule in enumerate(rules):
        path = f"routing_rules[{number}]"
        yield from _check_rule(path, rule)
        yield from _check_processors(path, rule, listed, known)
        if violations := list(_check_match(f"{path}.match", rule.match)):
            yield from violations
        else:
            legible.append((path, rule))
    yield from _check_reach(legible, settings.allowed_methods or tuple(PaymentMethod))


def _check_rule(path: str, rule: RoutingRule) -> Iterator[FieldViolation]:
    yield from check_name(f"{path}.name", rule.name)
    yield from check_weights(f"{path}.targets", [target.weight_percent for target in rule.targets])
    yield from check_span(f"{path}.step_timeout", rule.step_timeout, STEP_TIMEOUT_MAX)
    yield from check_retry_policy(f"{path}.retry_policy", rule.retry_policy)
    decides = (
        rule.targets,
        rule.excluded_processor_ids,
        rule.step_timeout,
        rule.retry_policy,
        rule.failover_on_soft_decline,
    )
    if not any(decides):
        message = "names no target and excludes none, and sets nothing else: it has no effect"
        yield FieldViolation(path, "rule.effect", message)


def _check_match(path: str, match: RouteMatch) -> Iterator[FieldViolation]:
    for name, values in (
        ("methods", match.methods),
        ("card_networks", match.card_networks),
        ("currencies", match.currencies),
        ("countries", match.countries),
    ):
        yield from check_unique(f"{path}.{name}", None, values)
    for number, currency in enumerate(match.currencies):
        yield from check_code(f"{path}.currencies[{number}]", currency, CURRENCY)
    for number, country in enumerate(match.countries):
        yield from check_code(f"{path}.countries[{number}]", country, COUNTRY)
    if len(match.metadata) > MAX_METADATA_ENTRIES:
        message = f"no request has more than {MAX_METADATA_ENTRIES} entries"
        yield FieldViolation(f"{path}.metadata", "metadata.count", message)
        return
    for key, value in match.metadata.items():
        yield from check_text(f"{path}.metadata", key, at_least=1, at_most=40)
        yield from check_text(f"{path}.metadata[{key}]", value, at_least=0, at_most=500)
    if match.amount_band is not None:
        yield from _check_band(f"{path}.amount_band", match.amount_band)


def _check_band(path: str, band: AmountBand) -> Iterator[FieldViolation]:
    yield from check_money_range(
        path, "from_amount", band.from_amount, "below_amount", band.below_amount
    )
    if band.from_amount and band.from_amount == band.below_amount:
        message = f"no amount is {band.from_amount} or more and yet below it"
        yield FieldViolation(path, "band.order", message)


def _check_processors(
    path: str, rule: RoutingRule, listed: Sequence[str], known: Mapping[str, ProcessorFacts]
) -> Iterator[FieldViolation]:
    targets = [target.processor_id for target in rule.targets]
    yield from check_unique(f"{path}.targets", "processor_id", targets)
    yield from check_unique(f"{path}.excluded_processor_ids", None, rule.excluded_processor_ids)
    for field, processor_id in (
        *((f"{path}.targets[{n}].processor_id", id_) for n, id_ in enumerate(targets)),
        *(
            (f"{path}.excluded_processor_ids[{n}]", id_)
            for n, id_ in enumerate(rule.excluded_processor_ids)
        ),
    ):
        if processor_id not in listed:
            message = f"{processor_id!r} is not among the processors of this configuration"
            yield FieldViolation(field, "processor.listed", message)
    for number, processor_id in enumerate(targets):
        field = f"{path}.targets[{number}].processor_id"
        if processor_id in rule.excluded_processor_ids:
            message = f"{processor_id} is a target and excluded at once"
            yield FieldViolation(field, "target.not_excluded", message)
        if reason := _never_fits(rule.match, known.get(processor_id)):
            message = f"{processor_id} {reason}, so it can never take what the rule matches"
            yield FieldViolation(field, "target.usable", message)
    if listed and not targets and set(listed) <= set(rule.excluded_processor_ids):
        message = "excludes every processor, so nothing that it matches could be paid"
        yield FieldViolation(f"{path}.excluded_processor_ids", "rule.candidates", message)


def _never_fits(match: RouteMatch, facts: ProcessorFacts | None) -> str | None:
    if facts is None:
        return None
    if match.methods and facts.methods and facts.methods.isdisjoint(match.methods):
        return f"takes no {' or '.join(match.methods)}"
    if match.currencies and facts.currencies and facts.currencies.isdisjoint(match.currencies):
        return f"takes no {' or '.join(match.currencies)}"
    return None


def _check_reach(
    rules: Sequence[tuple[str, RoutingRule]], methods: Iterable[PaymentMethod]
) -> Iterator[FieldViolation]:
    reach = Reach([rule.match for _, rule in rules], methods)
    before: list[tuple[RoutingRule, Box]] = []
    for path, rule in rules:
        box = reach.box(rule.match)
        takers = [(other, taken) for other, taken in before if overlaps(box, taken)]
        if is_empty(box):
            message = "fits no step: its fields contradict one another or the allowed methods"
            yield FieldViolation(f"{path}.match", "rule.matchable", message)
        elif reach.is_covered(box, [taken for _, taken in takers]):
            names = ", ".join(taker.name for taker, _ in takers)
            message = f"can never match: {names} before it take all that it fits"
            yield FieldViolation(f"{path}.match", "rule.reachable", message)
        else:
            yield from _check_bands_apart(path, rule.match, box, takers)
        before.append((rule, box))


def _check_bands_apart(
    path: str, match: RouteMatch, box: Box, takers: Iterable[tuple[RoutingRule, Box]]
) -> Iterator[FieldViolation]:
    """Rules that differ in their amounts alone divide the amounts between them."""
    for taker, taken in takers:
        have_bands = match.amount_band and taker.match.amount_band
        if have_bands and differ_in_amounts_alone(box, taken):
            message = f"overlaps the band of {taker.name}, which is like it in all else"
            yield FieldViolation(f"{path}.match.amount_band", "band.overlap", message)
