"""Routing rules that break one rule of validation each, and rules that only look as if they did."""

from typing import Any

from payments.config.v1.merchant_config_pb2 import MerchantSettings

from tests.merchant_config.settings import rules, usd

_EUR = {"currencies": ["EUR"]}


def _band(from_minor: int | None, below_minor: int | None, currency: str = "USD") -> dict[str, Any]:
    band: dict[str, Any] = {}
    if from_minor is not None:
        band["from_amount"] = {"amount_minor": from_minor, "currency": currency}
    if below_minor is not None:
        band["below_amount"] = {"amount_minor": below_minor, "currency": currency}
    return {"match": {"amount_band": band}}


BROKEN_RULES: list[tuple[MerchantSettings, str, str]] = [
    (
        rules(*({"match": {"metadata": {"n": str(n)}}} for n in range(101))),
        "routing_rules",
        "routing_rules.count",
    ),
    (
        rules({"match": {"metadata": {f"k{n}": "" for n in range(51)}}}),
        "routing_rules[0].match.metadata",
        "metadata.count",
    ),
    (
        rules({"match": {"metadata": {"note": "card 4242 4242 4242 4242"}}}),
        "routing_rules[0].match.metadata[note]",
        "text.card_number",
    ),
    (rules({"match": _EUR}, {"name": "r0"}), "routing_rules[1].name", "value.unique"),
    (rules({"targets": []}), "routing_rules[0]", "rule.effect"),
    (
        rules({"targets": [{"processor_id": "wallet_only"}]}),
        "routing_rules[0].targets[0].processor_id",
        "processor.listed",
    ),
    (
        rules({"excluded_processor_ids": ["stripe"]}),
        "routing_rules[0].targets[0].processor_id",
        "target.not_excluded",
    ),
    (
        rules(
            {"targets": [], "excluded_processor_ids": ["stripe", "stripe_eu", "cards_only"]},
        ),
        "routing_rules[0].excluded_processor_ids",
        "rule.candidates",
    ),
    (
        rules({"match": {"currencies": ["USD"]}, "targets": [{"processor_id": "stripe_eu"}]}),
        "routing_rules[0].targets[0].processor_id",
        "target.usable",
    ),
    (
        rules(
            {
                "match": {"methods": ["PAYMENT_METHOD_APPLE_PAY"]},
                "targets": [{"processor_id": "cards_only"}],
            }
        ),
        "routing_rules[0].targets[0].processor_id",
        "target.usable",
    ),
    (
        rules({"targets": [{"processor_id": "stripe", "weight_percent": 99}]}),
        "routing_rules[0].targets",
        "weights.sum",
    ),
    (
        rules({"match": {"currencies": ["EUR", "EURO"]}}),
        "routing_rules[0].match.currencies[1]",
        "currency.known",
    ),
    (
        rules({"match": {"countries": ["de"]}}),
        "routing_rules[0].match.countries[0]",
        "country.form",
    ),
    (rules(_band(None, None)), "routing_rules[0].match.amount_band", "bounds.present"),
    (rules(_band(10, 10)), "routing_rules[0].match.amount_band", "band.order"),
    (rules(_band(11, 10)), "routing_rules[0].match.amount_band", "bounds.order"),
    (
        rules({"match": {**_EUR, "amount_band": {"from_amount": usd(1)}}}),
        "routing_rules[0].match",
        "rule.matchable",
    ),
    (
        rules({"match": _EUR}, {"match": {"currencies": ["EUR"], "countries": ["DE"]}}),
        "routing_rules[1].match",
        "rule.reachable",
    ),
    (rules({}, {"match": _EUR}), "routing_rules[1].match", "rule.reachable"),
    (
        rules(
            {"match": {"methods": ["PAYMENT_METHOD_CARD"]}},
            {"match": {"methods": ["PAYMENT_METHOD_APPLE_PAY"]}},
            {"match": {"metadata": {"segment": "vip"}}},
        ),
        "routing_rules[2].match",
        "rule.reachable",
    ),
    (
        rules(_band(None, 500), _band(500, None), {"match": {"currencies": ["USD"]}}),
        "routing_rules[2].match",
        "rule.reachable",
    ),
    (
        rules(_band(None, 500), _band(400, None)),
        "routing_rules[1].match.amount_band",
        "band.overlap",
    ),
    (
        rules(_band(None, 500), {"match": {**_band(400, None)["match"], "currencies": ["USD"]}}),
        "routing_rules[1].match.amount_band",
        "band.overlap",
    ),
]

SOUND_RULES = [
    rules({"match": _EUR}, {}),
    rules({"match": {"methods": ["PAYMENT_METHOD_CARD"]}}, {"match": {"countries": ["DE"]}}),
    rules(_band(None, 500), _band(500, 900), _band(900, None)),
    rules(_band(None, 500), _band(None, 500, "EUR")),
    rules(_band(None, 500), {"match": {**_band(400, None)["match"], "countries": ["DE"]}}),
    rules(_band(None, 500), _band(501, None), {"match": {"currencies": ["USD"]}}),
    rules({"match": {"metadata": {"segment": "vip"}}}, {"match": {"metadata": {"segment": "new"}}}),
]
