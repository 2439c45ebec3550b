"""Settings that are sound, to be broken one field at a time."""

from typing import Any

from google.protobuf.json_format import ParseDict
from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest

from services.kernel.ids import MerchantId

MERCHANT = MerchantId("mer_019aa5a0000070008000000000000001")

# Past the service, for what the database itself has to refuse or to tell.
ADD_VERSION = """
insert into config.versions
       (merchant_id, version, settings, comment, author, idempotency_key, fingerprint)
values ($1::uuid, $2, '{}', '', 'someone', 'key ' || $2::bigint, sha256('body'))
"""

_SOUND: dict[str, Any] = {
    "default_currency": "USD",
    "fees": {"basis_points": 290, "fixed": [{"amount_minor": 30, "currency": "USD"}]},
    "capture_method": "CAPTURE_METHOD_AUTOMATIC",
    "split_policy": "SPLIT_POLICY_ALL_OR_NOTHING",
    "processors": [
        {"processor_id": "stripe", "timeout": "8s"},
        {"processor_id": "stripe_eu"},
        {"processor_id": "cards_only"},
    ],
    "routing_rules": [
        {
            "name": "amex-to-backup",
            "match": {"card_networks": ["CARD_NETWORK_AMERICAN_EXPRESS"]},
            "targets": [{"processor_id": "cards_only"}, {"processor_id": "stripe"}],
            "failover_on_soft_decline": True,
        },
        {
            "name": "small-euro",
            "match": {
                "currencies": ["EUR"],
                "amount_band": {"below_amount": {"amount_minor": 1000, "currency": "EUR"}},
                "countries": ["DE", "AT"],
                "metadata": {"segment": "vip"},
            },
            "targets": [
                {"processor_id": "stripe_eu", "weight_percent": 70},
                {"processor_id": "stripe", "weight_percent": 30},
            ],
            "excluded_processor_ids": ["cards_only"],
            "step_timeout": "5s",
            "retry_policy": {"max_tries": 2, "initial_backoff": "0.1s", "max_backoff": "1s"},
        },
    ],
    "step_timeout": "20s",
    "retry_policy": {"max_tries": 3, "initial_backoff": "0.2s", "max_backoff": "2s"},
    "amount_limits": [
        {"method": "PAYMENT_METHOD_CARD", "max_amount": {"amount_minor": 9000, "currency": "USD"}}
    ],
    "velocity_limits": [
        {"scope": "VELOCITY_SCOPE_USER", "window": "86400s", "max_count": 20},
    ],
    "attempt_limits": {"per_user": {"max_attempts": 5, "window": "3600s"}},
    "webhook_endpoints": [{"name": "orders", "url": "https://shop.example/hooks"}],
}


def sound(**changed: Any) -> MerchantSettings:
    """The settings with some fields replaced; None takes a field away."""
    fields = {name: value for name, value in {**_SOUND, **changed}.items() if value is not None}
    return ParseDict(fields, MerchantSettings())


def rules(*given: dict[str, Any]) -> MerchantSettings:
    """The settings with these rules, each named by its place and aimed at stripe unless it says."""
    return sound(
        routing_rules=[
            {"name": f"r{number}", "targets": [{"processor_id": "stripe"}], **rule}
            for number, rule in enumerate(given)
        ]
    )


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


def put(
    settings: MerchantSettings | None = None,
    *,
    expected_version: int = 0,
    key: str = "k1",
    comment: str = "",
) -> PutConfigRequest:
    return PutConfigRequest(
        idempotency_key=key,
        merchant_id=MERCHANT,
        expected_version=expected_version,
        settings=settings if settings is not None else sound(),
        comment=comment,
    )
