"""Settings read from a message: what can be read, and the path of each field that cannot."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from payments.config.v1 import merchant_config_pb2, routing_rule_pb2
from payments.core.v1 import money_pb2, payment_terms_pb2

from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.money import Money
from services.kernel.retry import RetryPolicy
from services.merchant_config.domain.settings import (
    AmountBand,
    AmountLimit,
    AttemptLimit,
    AttemptLimits,
    FeeSchedule,
    MerchantSettings,
    ProcessorPreference,
    RouteMatch,
    RouteTarget,
    RoutingRule,
    VelocityLimit,
    VelocityScope,
    WebhookEndpoint,
)
from services.runtime.wire.amounts import money_from
from services.runtime.wire.words import CAPTURE_METHODS, METHODS, NETWORKS, SPLIT_POLICIES

_Number = TypeVar("_Number", bound=int)
_Word = TypeVar("_Word")

SCOPES: Final = {
    merchant_config_pb2.VelocityScope.Value(f"VELOCITY_SCOPE_{scope.name}"): scope
    for scope in VelocityScope
}


def settings_from_message(
    message: merchant_config_pb2.MerchantSettings,
) -> tuple[MerchantSettings, Sequence[FieldViolation]]:
    """The settings without what is unreadable, and what that is."""
    reading = _Reading()
    return reading.settings(message), reading.violations


class _Reading:
    """One message on its way into the domain; collects what it stumbles over."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []

    def settings(self, message: merchant_config_pb2.MerchantSettings) -> MerchantSettings:
        return MerchantSettings(
            default_currency=message.default_currency,
            fees=FeeSchedule(
                message.fees.basis_points, self._monies("fees.fixed", message.fees.fixed)
            ),
            capture_method=self._choice("capture_method", message.capture_method, CAPTURE_METHODS),
            split_policy=self._choice("split_policy", message.split_policy, SPLIT_POLICIES),
            processors=tuple(
                self._preference(f"processors[{n}]", each)
                for n, each in enumerate(message.processors)
            ),
            routing_rules=tuple(
                self._rule(f"routing_rules[{n}]", each)
                for n, each in enumerate(message.routing_rules)
            ),
            step_timeout=self._span("", message, "step_timeout"),
            retry_policy=self._retry_policy("", message),
            allowed_methods=self._words("allowed_methods", message.allowed_methods, METHODS),
            amount_limits=tuple(
                self._amount_limit(f"amount_limits[{n}]", each)
                for n, each in enumerate(message.amount_limits)
            ),
            velocity_limits=tuple(
                self._velocity_limit(f"velocity_limits[{n}]", each)
                for n, each in enumerate(message.velocity_limits)
            ),
            attempt_limits=AttemptLimits(
                self._attempt_limit(message.attempt_limits, "per_user"),
                self._attempt_limit(message.attempt_limits, "per_api_key"),
            ),
            webhook_endpoints=tuple(
                WebhookEndpoint(each.name, each.url, tuple(each.event_types), each.paused)
                for each in message.webhook_endpoints
            ),
        )

    def _preference(
        self, path: str, message: merchant_config_pb2.ProcessorPreference
    ) -> ProcessorPreference:
        return ProcessorPreference(
            message.processor_id, message.weight_percent, self._span(path, message, "timeout")
        )

    def _rule(self, path: str, message: routing_rule_pb2.RoutingRule) -> RoutingRule:
        return RoutingRule(
            name=message.name,
            match=self._match(f"{path}.match", message.match),
            targets=tuple(
                RouteTarget(each.processor_id, each.weight_percent) for each in message.targets
            ),
            excluded_processor_ids=tuple(message.excluded_processor_ids),
            step_timeout=self._span(path, message, "step_timeout"),
            retry_policy=self._retry_policy(path, message),
            failover_on_soft_decline=message.failover_on_soft_decline,
        )

    def _match(self, path: str, message: routing_rule_pb2.RouteMatch) -> RouteMatch:
        band = None
        if message.HasField("amount_band"):
            band = AmountBand(
                self._money(f"{path}.amount_band", message.amount_band, "from_amount"),
                self._money(f"{path}.amount_band", message.amount_band, "below_amount"),
            )
        return RouteMatch(
            methods=self._words(f"{path}.methods", message.methods, METHODS),
            card_networks=self._words(f"{path}.card_networks", message.card_networks, NETWORKS),
            currencies=tuple(message.currencies),
            amount_band=band,
            countries=tuple(message.countries),
            metadata=dict(sorted(message.metadata.items())),
        )

    def _amount_limit(self, path: str, message: merchant_config_pb2.AmountLimit) -> AmountLimit:
        return AmountLimit(
            self._choice(f"{path}.method", message.method, METHODS),
            self._money(path, message, "min_amount"),
            self._money(path, message, "max_amount"),
        )

    def _velocity_limit(
        self, path: str, message: merchant_config_pb2.VelocityLimit
    ) -> VelocityLimit:
        return VelocityLimit(
            self._choice(f"{path}.scope", message.scope, SCOPES),
            self._span(path, message, "window"),
            message.max_count,
            self._money(path, message, "max_amount"),
        )

    def _attempt_limit(
        self, limits: merchant_config_pb2.AttemptLimits, name: str
    ) -> AttemptLimit | None:
        if not limits.HasField(name):  # type: ignore[arg-type]  # one of its two names
            return None
        message: merchant_config_pb2.AttemptLimit = getattr(limits, name)
        window = self._span(f"attempt_limits.{name}", message, "window")
        return AttemptLimit(message.max_attempts, window)

    def _retry_policy(self, path: str, message: Message) -> RetryPolicy | None:
        if not message.HasField("retry_policy"):
            return None
        policy: payment_terms_pb2.RetryPolicy = message.retry_policy  # type: ignore[attr-defined]  # it has the field
        inner = f"{path}.retry_policy" if path else "retry_policy"
        return RetryPolicy(
            max_tries=policy.max_tries,
            initial_backoff=self._span(inner, policy, "initial_backoff") or timedelta(0),
            max_backoff=self._span(inner, policy, "max_backoff") or timedelta(0),
            backoff_growth_percent=policy.backoff_growth_percent,
            jitter_percent=policy.jitter_percent,
        )

    def _choice(self, path: str, value: _Number, words: Mapping[_Number, _Word]) -> _Word | None:
        """A word that may be left unsaid."""
        if value and value not in words:
            self._stumble(path, "enum.known", f"{value} is no value that is known here")
        return words.get(value)

    def _words(
        self, path: str, values: Sequence[_Number], words: Mapping[_Number, _Word]
    ) -> tuple[_Word, ...]:
        for number, value in enumerate(values):
            if value not in words:
                self._stumble(f"{path}[{number}]", "enum.known", "names nothing that is known here")
        return tuple(words[value] for value in values if value in words)

    def _span(self, path: str, message: Message, name: str) -> timedelta | None:
        if not message.HasField(name):
            return None
        duration: Duration = getattr(message, name)
        try:
            return duration.ToTimedelta()
        except OverflowError:
            self._stumble(f"{path}.{name}".lstrip("."), "span.range", "is longer than can be")
            return None

    def _monies(self, path: str, messages: Sequence[money_pb2.Money]) -> tuple[Money, ...]:
        read = (self._amount(f"{path}[{n}]", message) for n, message in enumerate(messages))
        return tuple(money for money in read if money is not None)

    def _money(self, path: str, message: Message, name: str) -> Money | None:
        if not message.HasField(name):
            return None
        amount: Any = getattr(message, name)
        return self._amount(f"{path}.{name}", amount)

    def _amount(self, path: str, message: money_pb2.Money) -> Money | None:
        try:
            return money_from(message)
        except InvalidArgument as error:
            for violation in error.violations:
                self._stumble(f"{path}.{violation.field}", violation.rule, violation.message)
            return None

    def _stumble(self, path: str, rule: str, message: str) -> None:
        self.violations.append(FieldViolation(path, rule, message))
