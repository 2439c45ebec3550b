"""The words that several of the plan builder's messages share."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeVar

from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.config.v1.routing_rule_pb2 import RoutingRule
from payments.core.v1 import (
    money_pb2,
    payment_method_pb2,
    payment_terms_pb2,
)
from payments.plan.v1.payment_plan_pb2 import PaymentStep

from services.kernel.context import (
    CaptureMethod,
    CardNetwork,
    PaymentMethod,
    SplitPolicy,
)
from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.money import Currency, Money
from services.kernel.retry import RetryPolicy

_Number = TypeVar("_Number", bound=int)
_Word = TypeVar("_Word")

METHODS: Final = {
    payment_method_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{method.name}"): method
    for method in PaymentMethod
}
NETWORKS: Final = {
    payment_method_pb2.CardNetwork.Value(f"CARD_NETWORK_{network.name}"): network
    for network in CardNetwork
}
CAPTURE_METHODS: Final = {
    payment_terms_pb2.CaptureMethod.Value(f"CAPTURE_METHOD_{method.name}"): method
    for method in CaptureMethod
}
SPLIT_POLICIES: Final = {
    payment_terms_pb2.SplitPolicy.Value(f"SPLIT_POLICY_{policy.name}"): policy
    for policy in SplitPolicy
}
METHOD_NUMBERS: Final = {method: number for number, method in METHODS.items()}
NETWORK_NUMBERS: Final = {network: number for number, network in NETWORKS.items()}
CAPTURE_NUMBERS: Final = {method: number for number, method in CAPTURE_METHODS.items()}
SPLIT_NUMBERS: Final = {policy: number for number, policy in SPLIT_POLICIES.items()}


def choice(path: str, value: _Number, words: Mapping[_Number, _Word]) -> _Word | None:
    """A word that may be left unsaid."""
    if value and value not in words:
        raise InvalidArgument(
            f"{path} has a value that is not known",
            violations=[FieldViolation(path, "enum.known", f"{value} is no value of it")],
        )
    return words.get(value)


def money_from(message: money_pb2.Money) -> Money:
    return Money(message.amount_minor, _currency(message.currency))


def retry_policy_from(
    message: MerchantSettings | RoutingRule | PaymentStep,
) -> RetryPolicy | None:
    if not message.HasField("retry_policy"):
        return None
    policy = message.retry_policy
    return RetryPolicy(
        max_tries=policy.max_tries,
        initial_backoff=policy.initial_backoff.ToTimedelta(),
        max_backoff=policy.max_backoff.ToTimedelta(),
        backoff_growth_percent=policy.backoff_growth_percent,
        jitter_percent=policy.jitter_percent,
    )


def money_message(money: Money) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=money.amount_minor, currency=money.currency.code)


@lru_cache(maxsize=256)
def _currency(code: str) -> Currency:
    return Currency(code)
