"""What planning reads of a configuration and of the processors."""

from datetime import timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from payments.config.v1 import merchant_config_pb2, routing_rule_pb2
from payments.core.v1 import operation_pb2
from payments.processor.v1 import processor_pb2

from services.kernel.ids import MerchantId
from services.kernel.retry import RetryPolicy
from services.plan_builder.domain.config import (
    AmountBand,
    AmountLimit,
    Choice,
    Fees,
    PlanningConfig,
    ProcessorAbility,
    RouteMatch,
    RoutingRule,
)
from services.plan_builder.translate.words import retry_policy_from
from services.runtime.wire.amounts import money_from
from services.runtime.wire.words import CAPTURE_METHODS, METHODS, NETWORKS, SPLIT_POLICIES

# What a configuration means where it says nothing.
_STEP_TIMEOUT: Final = timedelta(seconds=30)


def config_from_message(message: merchant_config_pb2.MerchantConfig) -> PlanningConfig:
    """What planning reads of a stored configuration, which is known to be sound."""
    merchant_id = MerchantId.parse(message.merchant_id)
    return config_from_settings(merchant_id, message.version, message.settings)


def config_from_settings(
    merchant_id: MerchantId, version: int, settings: merchant_config_pb2.MerchantSettings
) -> PlanningConfig:
    return PlanningConfig(
        merchant_id=merchant_id,
        version=version,
        fees=Fees(
            settings.fees.basis_points,
            {fixed.currency: money_from(fixed) for fixed in settings.fees.fixed},
        ),
        capture_method=CAPTURE_METHODS[settings.capture_method],
        split_policy=SPLIT_POLICIES[settings.split_policy],
        processors=tuple(
            Choice(each.processor_id, each.weight_percent) for each in settings.processors
        ),
        timeouts={
            each.processor_id: each.timeout.ToTimedelta()
            for each in settings.processors
            if each.HasField("timeout")
        },
        rules=tuple(_rule_from(each) for each in settings.routing_rules),
        step_timeout=_span_from(settings.step_timeout) or _STEP_TIMEOUT,
        retry_policy=retry_policy_from(settings) or RetryPolicy(),
        allowed_methods=frozenset(METHODS[method] for method in settings.allowed_methods),
        amount_limits=tuple(
            AmountLimit(
                METHODS.get(each.method),
                money_from(each.min_amount) if each.HasField("min_amount") else None,
                money_from(each.max_amount) if each.HasField("max_amount") else None,
            )
            for each in settings.amount_limits
        ),
    )


def ability_from_message(message: processor_pb2.Processor) -> ProcessorAbility:
    """What a processor can take; a method that only a newer system knows is left out."""
    return ProcessorAbility(
        processor_id=message.id,
        is_enabled=message.state == processor_pb2.PROCESSOR_STATE_ENABLED,
        can_authorize=operation_pb2.OPERATION_AUTHORIZE in message.operations,
        methods=frozenset(METHODS[method] for method in message.methods if method in METHODS),
        currencies=frozenset(message.currencies),
        card_networks=frozenset(
            NETWORKS[network] for network in message.card_networks if network in NETWORKS
        ),
        countries=frozenset(message.countries),
    )


def _rule_from(message: routing_rule_pb2.RoutingRule) -> RoutingRule:
    return RoutingRule(
        name=message.name,
        match=_match_from(message.match),
        targets=tuple(Choice(each.processor_id, each.weight_percent) for each in message.targets),
        excluded=frozenset(message.excluded_processor_ids),
        step_timeout=_span_from(message.step_timeout),
        retry_policy=retry_policy_from(message),
        failover_on_soft_decline=message.failover_on_soft_decline,
    )


def _match_from(message: routing_rule_pb2.RouteMatch) -> RouteMatch:
    band = None
    if message.HasField("amount_band"):
        bounds = message.amount_band
        band = AmountBand(
            money_from(bounds.from_amount) if bounds.HasField("from_amount") else None,
            money_from(bounds.below_amount) if bounds.HasField("below_amount") else None,
        )
    return RouteMatch(
        methods=frozenset(METHODS[method] for method in message.methods),
        card_networks=frozenset(NETWORKS[network] for network in message.card_networks),
        currencies=frozenset(message.currencies),
        amount_band=band,
        countries=frozenset(message.countries),
        metadata=dict(message.metadata),
    )


def _span_from(message: Duration) -> timedelta | None:
    """A span that says something: unset and nothing mean the same here."""
    return message.ToTimedelta() or None
