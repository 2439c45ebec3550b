"""Settings written as a message, and from there as the text that is stored and compared."""

import json
from collections.abc import Mapping
from typing import TypeVar, cast

from google.protobuf.json_format import MessageToDict, ParseDict
from payments.config.v1 import merchant_config_pb2, routing_rule_pb2
from payments.core.v1 import money_pb2

from services.kernel.money import Money
from services.merchant_config.domain.diff import Json
from services.merchant_config.domain.settings import (
    AmountLimit,
    AttemptLimit,
    MerchantSettings,
    ProcessorPreference,
    RouteMatch,
    RoutingRule,
    VelocityLimit,
)
from services.merchant_config.translate.reading import (
    SCOPES,
    settings_from_message,
)
from services.runtime.wire.amounts import money_message
from services.runtime.wire.moments import duration
from services.runtime.wire.retry import retry_policy_message
from services.runtime.wire.words import CAPTURE_METHODS, METHODS, NETWORKS, SPLIT_POLICIES

_Number = TypeVar("_Number", bound=int)
_Word = TypeVar("_Word")


class SettingsJson:
    """Settings as the JSON form of their message: what is stored, compared and shown."""

    def encode(self, settings: MerchantSettings) -> str:
        return json.dumps(self.tree(settings), separators=(",", ":"))

    def decode(self, text: str) -> MerchantSettings:
        # A version that was written by a newer Switchyard may have fields that this one lacks.
        message = ParseDict(
            json.loads(text), merchant_config_pb2.MerchantSettings(), ignore_unknown_fields=True
        )
        settings, _ = settings_from_message(message)
        return settings

    def tree(self, settings: MerchantSettings) -> Json:
        tree: Mapping[str, Json] = MessageToDict(
            settings_message(settings), preserving_proto_field_name=True
        )
        return tree


def settings_message(settings: MerchantSettings) -> merchant_config_pb2.MerchantSettings:
    message = merchant_config_pb2.MerchantSettings(
        default_currency=settings.default_currency,
        fees=merchant_config_pb2.FeeSchedule(
            basis_points=settings.fees.basis_points,
            fixed=[money_message(fixed) for fixed in settings.fees.fixed],
        ),
        capture_method=_number(CAPTURE_METHODS, settings.capture_method),
        split_policy=_number(SPLIT_POLICIES, settings.split_policy),
        processors=[_preference(each) for each in settings.processors],
        routing_rules=[_rule(each) for each in settings.routing_rules],
        step_timeout=duration(settings.step_timeout),
        retry_policy=retry_policy_message(settings.retry_policy),
        allowed_methods=[_number(METHODS, method) for method in settings.allowed_methods],
        amount_limits=[_amount_limit(each) for each in settings.amount_limits],
        velocity_limits=[_velocity_limit(each) for each in settings.velocity_limits],
        webhook_endpoints=[
            merchant_config_pb2.WebhookEndpoint(
                name=each.name, url=each.url, event_types=each.event_types, paused=each.paused
            )
            for each in settings.webhook_endpoints
        ],
    )
    limits = settings.attempt_limits
    for field, limit in (("per_user", limits.per_user), ("per_api_key", limits.per_api_key)):
        if limit is not None:
            getattr(message.attempt_limits, field).CopyFrom(_attempt_limit(limit))
    return message


def _preference(preference: ProcessorPreference) -> merchant_config_pb2.ProcessorPreference:
    return merchant_config_pb2.ProcessorPreference(
        processor_id=preference.processor_id,
        weight_percent=preference.weight_percent,
        timeout=duration(preference.timeout),
    )


def _rule(rule: RoutingRule) -> routing_rule_pb2.RoutingRule:
    return routing_rule_pb2.RoutingRule(
        name=rule.name,
        match=None if rule.match == RouteMatch() else _match(rule.match),
        targets=[
            routing_rule_pb2.RouteTarget(
                processor_id=target.processor_id, weight_percent=target.weight_percent
            )
            for target in rule.targets
        ],
        excluded_processor_ids=rule.excluded_processor_ids,
        step_timeout=duration(rule.step_timeout),
        retry_policy=retry_policy_message(rule.retry_policy),
        failover_on_soft_decline=rule.failover_on_soft_decline,
    )


def _match(match: RouteMatch) -> routing_rule_pb2.RouteMatch:
    band = match.amount_band
    return routing_rule_pb2.RouteMatch(
        methods=[_number(METHODS, method) for method in match.methods],
        card_networks=[_number(NETWORKS, network) for network in match.card_networks],
        currencies=match.currencies,
        amount_band=None
        if band is None
        else routing_rule_pb2.AmountBand(
            from_amount=_bound(band.from_amount), below_amount=_bound(band.below_amount)
        ),
        countries=match.countries,
        metadata=match.metadata,
    )


def _amount_limit(limit: AmountLimit) -> merchant_config_pb2.AmountLimit:
    return merchant_config_pb2.AmountLimit(
        method=_number(METHODS, limit.method),
        min_amount=_bound(limit.min_amount),
        max_amount=_bound(limit.max_amount),
    )


def _velocity_limit(limit: VelocityLimit) -> merchant_config_pb2.VelocityLimit:
    return merchant_config_pb2.VelocityLimit(
        scope=_number(SCOPES, limit.scope),
        window=duration(limit.window),
        max_count=limit.max_count,
        max_amount=_bound(limit.max_amount),
    )


def _attempt_limit(limit: AttemptLimit) -> merchant_config_pb2.AttemptLimit:
    return merchant_config_pb2.AttemptLimit(
        max_attempts=limit.max_attempts, window=duration(limit.window)
    )


def _number(words: Mapping[_Number, _Word], word: _Word | None) -> _Number:
    """The enum's number of a word; zero for none."""
    numbers = (number for number, each in words.items() if each == word)
    return next(numbers, cast("_Number", 0))


def _bound(money: Money | None) -> money_pb2.Money | None:
    return None if money is None else money_message(money)
