"""The words that several of the plan builder's messages share."""

from collections.abc import Mapping
from typing import TypeVar

from payments.config.v1.merchant_config_pb2 import MerchantSettings
from payments.config.v1.routing_rule_pb2 import RoutingRule
from payments.plan.v1.payment_plan_pb2 import PaymentStep

from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.retry import RetryPolicy

_Number = TypeVar("_Number", bound=int)
_Word = TypeVar("_Word")


def choice(path: str, value: _Number, words: Mapping[_Number, _Word]) -> _Word | None:
    """A word that may be left unsaid."""
    if value and value not in words:
        raise InvalidArgument(
            f"{path} has a value that is not known",
            violations=[FieldViolation(path, "enum.known", f"{value} is no value of it")],
        )
    return words.get(value)


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
