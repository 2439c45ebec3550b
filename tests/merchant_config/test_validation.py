"""Settings are judged as a whole; each case breaks one thing and must be told where."""

import random
import time
from typing import Any

import pytest
from payments.config.v1.merchant_config_pb2 import MerchantSettings

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.ids import MerchantId
from services.merchant_config.domain.settings import ProcessorFacts
from services.merchant_config.domain.validation import violations_of
from services.merchant_config.translate.reading import settings_from_message
from services.runtime.rpc import typed_errors
from tests.conftest import DatabaseUrls
from tests.merchant_config.conftest import ConfigsUnderTest
from tests.merchant_config.settings import put, rules, sound

_STRIPE = [{"processor_id": "stripe"}]
_LOOPBACK = [{"name": "a", "url": "https://127.0.0.1/x"}]
_EUR = {"currencies": ["EUR"]}


def _usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


def _band(from_minor: int | None, below_minor: int | None, currency: str = "USD") -> dict[str, Any]:
    band: dict[str, Any] = {}
    if from_minor is not None:
        band["from_amount"] = {"amount_minor": from_minor, "currency": currency}
    if below_minor is not None:
        band["below_amount"] = {"amount_minor": below_minor, "currency": currency}
    return {"match": {"amount_band": band}}


_BROKEN: list[tuple[MerchantSettings, str, str]] = [
    (sound(default_currency=None), "default_currency", "currency.known"),
    (sound(default_currency="usd"), "default_currency", "currency.known"),
    (sound(capture_method=None), "capture_method", "capture_method.present"),
    (sound(split_policy=None), "split_policy", "split_policy.present"),
    (sound(fees={"basis_points": 10_001}), "fees.basis_points", "basis_points.range"),
    (sound(fees={"fixed": [_usd(-1)]}), "fees.fixed[0].amount_minor", "amount.not_negative"),
    (sound(fees={"fixed": [_usd(1), _usd(2)]}), "fees.fixed[1].currency", "value.unique"),
    (
        sound(fees={"fixed": [{"amount_minor": 1, "currency": "XYZ"}]}),
        "fees.fixed[0].currency",
        "currency.known",
    ),
    (sound(processors=None, routing_rules=None), "processors", "processors.present"),
    (
        sound(processors=[*_STRIPE, {"processor_id": "nobody"}], routing_rules=None),
        "processors[1].processor_id",
        "processor.known",
    ),
    (
        sound(processors=[*_STRIPE, *_STRIPE], routing_rules=None),
        "processors[1].processor_id",
        "value.unique",
    ),
    (
        sound(
            processors=[
                {"processor_id": "stripe", "weight_percent": 70},
                {"processor_id": "cards_only", "weight_percent": 20},
            ],
            routing_rules=None,
        ),
        "processors",
        "weights.sum",
    ),
    (
        sound(
            processors=[
                {"processor_id": "stripe", "weight_percent": 60},
                {"processor_id": "stripe_eu", "weight_percent": 50},
                {"processor_id": "cards_only", "weight_percent": -10},
            ],
            routing_rules=None,
        ),
        "processors[2].weight_percent",
        "weight.range",
    ),
    (
        sound(processors=[{"processor_id": "stripe", "timeout": "0s"}], routing_rules=None),
        "processors[0].timeout",
        "span.range",
    ),
    (sound(step_timeout="-1s"), "step_timeout", "span.range"),
    (sound(step_timeout="301s"), "step_timeout", "span.range"),
    (
        sound(retry_policy={"max_tries": 4}),
        "retry_policy.max_tries",
        "tries.range",
    ),
    (
        sound(retry_policy={"max_tries": 1, "initial_backoff": "2s", "max_backoff": "1s"}),
        "retry_policy.initial_backoff",
        "backoff.order",
    ),
    (
        sound(retry_policy={"max_tries": 1, "jitter_percent": 101}),
        "retry_policy.jitter_percent",
        "percent.range",
    ),
    (
        sound(
            processors=[{"processor_id": "cards_only"}],
            allowed_methods=["PAYMENT_METHOD_APPLE_PAY"],
            routing_rules=None,
        ),
        "allowed_methods[0]",
        "method.served",
    ),
    (
        sound(allowed_methods=["PAYMENT_METHOD_CARD", "PAYMENT_METHOD_UNSPECIFIED"]),
        "allowed_methods[1]",
        "enum.known",
    ),
    (sound(amount_limits=[{}]), "amount_limits[0]", "bounds.present"),
    (
        sound(amount_limits=[{"min_amount": _usd(5), "max_amount": _usd(4)}]),
        "amount_limits[0]",
        "bounds.order",
    ),
    (
        sound(
            amount_limits=[
                {"min_amount": _usd(5), "max_amount": {"amount_minor": 9, "currency": "EUR"}}
            ]
        ),
        "amount_limits[0]",
        "bounds.currency",
    ),
    (
        sound(amount_limits=[{"max_amount": _usd(5)}, {"min_amount": _usd(1)}]),
        "amount_limits[1]",
        "limit.unique",
    ),
    (
        sound(amount_limits=[{"max_amount": _usd(0)}]),
        "amount_limits[0].max_amount",
        "amount.positive",
    ),
    (
        sound(velocity_limits=[{"window": "60s", "max_count": 1}]),
        "velocity_limits[0].scope",
        "scope.present",
    ),
    (
        sound(velocity_limits=[{"scope": "VELOCITY_SCOPE_USER", "max_count": 1}]),
        "velocity_limits[0].window",
        "window.present",
    ),
    (
        sound(velocity_limits=[{"scope": "VELOCITY_SCOPE_USER", "window": "60s"}]),
        "velocity_limits[0]",
        "bounds.present",
    ),
    (
        sound(attempt_limits={"per_user": {"window": "60s"}}),
        "attempt_limits.per_user.max_attempts",
        "count.range",
    ),
    (
        sound(webhook_endpoints=[{"name": "a", "url": "http://shop.example/"}]),
        "webhook_endpoints[0].url",
        "url.https",
    ),
    (sound(webhook_endpoints=_LOOPBACK), "webhook_endpoints[0].url", "url.public"),
    (
        sound(webhook_endpoints=[{"name": "a", "url": "https://[::1"}]),
        "webhook_endpoints[0].url",
        "url.form",
    ),
    *(
        (sound(webhook_endpoints=[{"name": "a", "url": url}]), "webhook_endpoints[0].url", rule)
        for url, rule in (
            ("https://shop.example/\x00", "url.form"),
            ("https://shop.example/a b", "url.form"),
            ("https://shop.example/\nhost: other", "url.form"),
            ("https://127.1/", "url.public"),
            ("https://2130706433/", "url.public"),
            ("https://0x7f.0.0.1/", "url.public"),
            ("https://10.0.0.1./", "url.public"),
            ("https://localhost./", "url.public"),
            ("https://[::ffff:127.0.0.1]/", "url.public"),
        )
    ),
    (
        sound(
            webhook_endpoints=[{"name": f"w{n}", "url": "https://a.example"} for n in range(101)]
        ),
        "webhook_endpoints",
        "webhook_endpoints.count",
    ),
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
    (
        sound(webhook_endpoints=[{"name": "A b", "url": "https://shop.example"}]),
        "webhook_endpoints[0].name",
        "name.grammar",
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
        rules({"match": {**_EUR, "amount_band": {"from_amount": _usd(1)}}}),
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


@pytest.fixture
def application_url(module_database_urls: DatabaseUrls) -> str:
    """One database for all the cases: none but the sound ones write to it, each for its own."""
    return module_database_urls.application


@pytest.mark.parametrize(("settings", "field", "rule"), _BROKEN)
async def test_broken_settings_are_refused_with_the_path_of_the_field(
    configs: ConfigsUnderTest, settings: MerchantSettings, field: str, rule: str
) -> None:
    before = await configs.count_versions()
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.PutConfig(put(settings))
    assert refusal.value.reason is Reason.CONFIG_INVALID
    assert [(v.field, v.rule) for v in refusal.value.violations] == [(field, rule)]
    assert await configs.count_versions() == before


_SOUND = [
    sound(),
    sound(routing_rules=None, retry_policy=None, step_timeout=None),
    sound(allowed_methods=["PAYMENT_METHOD_CARD"]),
    rules({"match": _EUR}, {}),
    rules({"match": {"methods": ["PAYMENT_METHOD_CARD"]}}, {"match": {"countries": ["DE"]}}),
    rules(_band(None, 500), _band(500, 900), _band(900, None)),
    rules(_band(None, 500), _band(None, 500, "EUR")),
    rules(_band(None, 500), {"match": {**_band(400, None)["match"], "countries": ["DE"]}}),
    rules(_band(None, 500), _band(501, None), {"match": {"currencies": ["USD"]}}),
    rules({"match": {"metadata": {"segment": "vip"}}}, {"match": {"metadata": {"segment": "new"}}}),
]


@pytest.mark.parametrize("settings", _SOUND)
async def test_sound_settings_are_stored(
    configs: ConfigsUnderTest, settings: MerchantSettings
) -> None:
    request = put(settings)
    request.merchant_id = MerchantId.new()
    stored = await configs.stub.PutConfig(request)
    assert stored.config.settings == settings


async def test_everything_that_is_wrong_is_told_at_once(configs: ConfigsUnderTest) -> None:
    settings = rules({"match": {"currencies": ["XYZ"]}}, {"targets": []})
    settings.default_currency = "nothing"
    settings.fees.fixed[0].currency = "???"
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.PutConfig(put(settings))
    assert {v.field for v in refusal.value.violations} == {
        "fees.fixed[0].currency",
        "default_currency",
        "routing_rules[0].match.currencies[0]",
        "routing_rules[1]",
    }


def test_rules_that_cut_one_another_to_pieces_are_judged_in_bounded_time() -> None:
    chance = random.Random(1)
    settings, _ = settings_from_message(
        rules(
            *(
                {
                    "match": {
                        "metadata": {
                            f"k{n}": chance.choice("ab") for n in chance.sample(range(50), 2)
                        }
                    }
                }
                for _ in range(100)
            )
        )
    )
    began_at = time.process_time()
    known = {name: ProcessorFacts() for name in ("stripe", "stripe_eu", "cards_only")}
    assert violations_of(settings, known) == []
    assert time.process_time() - began_at < 10
