"""Settings that break one rule each, with the field and the rule; those of routing stand apart."""

from payments.config.v1.merchant_config_pb2 import MerchantSettings

from tests.merchant_config.settings import sound, usd

_STRIPE = [{"processor_id": "stripe"}]
_LOOPBACK = [{"name": "a", "url": "https://127.0.0.1/x"}]

BROKEN_SETTINGS: list[tuple[MerchantSettings, str, str]] = [
    (sound(default_currency=None), "default_currency", "currency.known"),
    (sound(default_currency="usd"), "default_currency", "currency.known"),
    (sound(capture_method=None), "capture_method", "capture_method.present"),
    (sound(split_policy=None), "split_policy", "split_policy.present"),
    (sound(fees={"basis_points": 10_001}), "fees.basis_points", "basis_points.range"),
    (sound(fees={"fixed": [usd(-1)]}), "fees.fixed[0].amount_minor", "amount.not_negative"),
    (sound(fees={"fixed": [usd(1), usd(2)]}), "fees.fixed[1].currency", "value.unique"),
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
        sound(amount_limits=[{"min_amount": usd(5), "max_amount": usd(4)}]),
        "amount_limits[0]",
        "bounds.order",
    ),
    (
        sound(
            amount_limits=[
                {"min_amount": usd(5), "max_amount": {"amount_minor": 9, "currency": "EUR"}}
            ]
        ),
        "amount_limits[0]",
        "bounds.currency",
    ),
    (
        sound(amount_limits=[{"max_amount": usd(5)}, {"min_amount": usd(1)}]),
        "amount_limits[1]",
        "limit.unique",
    ),
    (
        sound(amount_limits=[{"max_amount": usd(0)}]),
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
        sound(webhook_endpoints=[{"name": "A b", "url": "https://shop.example"}]),
        "webhook_endpoints[0].name",
        "name.grammar",
    ),
]

SOUND_SETTINGS = [
    sound(),
    sound(routing_rules=None, retry_policy=None, step_timeout=None),
    sound(allowed_methods=["PAYMENT_METHOD_CARD"]),
]
