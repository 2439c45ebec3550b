"""What the orchestrator reads of a merchant's configuration, which is known to be sound."""

from datetime import timedelta
from typing import Final

from payments.config.v1 import merchant_config_pb2 as pb

from services.orchestrator.domain.policy import (
    FIVE_AN_HOUR,
    AmountLimit,
    AttemptLimit,
    Policy,
    VelocityLimit,
    VelocityScope,
)
from services.orchestrator.translate.words import METHODS, money_from

_SCOPES: Final = {
    pb.VELOCITY_SCOPE_USER: VelocityScope.USER,
    pb.VELOCITY_SCOPE_MERCHANT: VelocityScope.MERCHANT,
}


def policy_from_message(message: pb.MerchantConfig) -> Policy:
    settings = message.settings
    limits = settings.attempt_limits
    return Policy(
        config_version=message.version,
        allowed_methods=frozenset(METHODS[method] for method in settings.allowed_methods),
        amount_limits=tuple(_amount_limit(each) for each in settings.amount_limits),
        velocity_limits=tuple(_velocity_limit(each) for each in settings.velocity_limits),
        attempts_per_user=_attempt_limit(limits.per_user)
        if limits.HasField("per_user")
        else FIVE_AN_HOUR,
        attempts_per_api_key=_attempt_limit(limits.per_api_key)
        if limits.HasField("per_api_key")
        else None,
    )


def _amount_limit(message: pb.AmountLimit) -> AmountLimit:
    return AmountLimit(
        METHODS.get(message.method),
        money_from(message.min_amount) if message.HasField("min_amount") else None,
        money_from(message.max_amount) if message.HasField("max_amount") else None,
    )


def _velocity_limit(message: pb.VelocityLimit) -> VelocityLimit:
    window: timedelta = message.window.ToTimedelta()
    return VelocityLimit(
        _SCOPES[message.scope],
        window,
        message.max_count,
        money_from(message.max_amount) if message.HasField("max_amount") else None,
    )


def _attempt_limit(message: pb.AttemptLimit) -> AttemptLimit:
    return AttemptLimit(message.max_attempts, message.window.ToTimedelta())
