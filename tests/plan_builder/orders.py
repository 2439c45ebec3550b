"""Short ways to write down requests, configurations and processors."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.kernel.context import (
    CaptureMethod,
    CardNetwork,
    CoreRequestContext,
    PaymentInstrument,
    PaymentMethod,
    SplitPolicy,
    StepPreference,
)
from services.kernel.ids import MerchantId, RequestId
from services.kernel.money import Currency, Money
from services.kernel.retry import RetryPolicy
from services.plan_builder.domain.config import (
    AmountBand,
    Catalogue,
    Choice,
    Fees,
    PlanningConfig,
    ProcessorAbility,
    RouteMatch,
    RoutingRule,
)

MERCHANT = MerchantId("mer_019aa5a0000070008000000000000001")
REQUEST = RequestId("req_019aa5a0000070008000000000000002")
CARD = PaymentMethod.CARD
APPLE_PAY = PaymentMethod.APPLE_PAY


def money(amount_minor: int, currency: str = "USD") -> Money:
    return Money(amount_minor, Currency(currency))


def part(method: PaymentMethod, max_minor: int | None = None) -> StepPreference:
    return StepPreference(
        PaymentInstrument(method), None if max_minor is None else money(max_minor)
    )


def request(
    amount: Money | None = None,
    *steps: StepPreference,
    method: PaymentMethod = CARD,
    network: CardNetwork | None = None,
    **changed: Any,
) -> CoreRequestContext:
    return CoreRequestContext(
        **{
            "request_id": REQUEST,
            "merchant_id": MERCHANT,
            "idempotency_key": "order-17",
            "amount": amount if amount is not None else money(10_000),
            "instrument": PaymentInstrument(method, "pm_card_visa", network),
            "steps": steps,
            "received_at": datetime(2026, 1, 2, tzinfo=UTC),
            **changed,
        }
    )


def config(
    *processors: str | tuple[str, int],
    rules: Sequence[RoutingRule] = (),
    **changed: Any,
) -> PlanningConfig:
    """A configuration with these processors, each a name or a name with a weight."""
    return PlanningConfig(
        **{
            "merchant_id": MERCHANT,
            "version": 7,
            "fees": Fees(290, {"USD": money(30)}),
            "capture_method": CaptureMethod.AUTOMATIC,
            "split_policy": SplitPolicy.ALL_OR_NOTHING,
            "processors": choices(*processors) if processors else choices("a", "b", "c"),
            "timeouts": {},
            "rules": tuple(rules),
            "step_timeout": timedelta(seconds=30),
            "retry_policy": RetryPolicy(),
            "allowed_methods": frozenset(),
            "amount_limits": (),
            **changed,
        }
    )


def choices(*processors: str | tuple[str, int]) -> tuple[Choice, ...]:
    return tuple(Choice(each, 0) if isinstance(each, str) else Choice(*each) for each in processors)


def rule(
    name: str,
    *targets: str | tuple[str, int],
    excluded: Sequence[str] = (),
    step_timeout: timedelta | None = None,
    retry_policy: RetryPolicy | None = None,
    failover_on_soft_decline: bool = False,
    **fits: Any,
) -> RoutingRule:
    return RoutingRule(
        name=name,
        match=RouteMatch(
            **{
                "methods": frozenset(),
                "card_networks": frozenset(),
                "currencies": frozenset(),
                "amount_band": None,
                "countries": frozenset(),
                "metadata": {},
                **{field: _as_matched(value) for field, value in fits.items()},
            }
        ),
        targets=choices(*targets),
        excluded=frozenset(excluded),
        step_timeout=step_timeout,
        retry_policy=retry_policy,
        failover_on_soft_decline=failover_on_soft_decline,
    )


def _as_matched(value: Any) -> Any:
    if isinstance(value, AmountBand | Mapping):
        return value
    return frozenset(value)


def ability(processor_id: str, **changed: Any) -> ProcessorAbility:
    return ProcessorAbility(
        **{
            "processor_id": processor_id,
            "is_enabled": True,
            "can_authorize": True,
            "methods": frozenset({CARD, APPLE_PAY}),
            "currencies": frozenset(),
            "card_networks": frozenset(),
            "countries": frozenset(),
            **changed,
        }
    )


def catalogue(*abilities: ProcessorAbility) -> Catalogue:
    """The processors a, b and c, which take everything, with these in their places or beside."""
    everything = {name: ability(name) for name in ("a", "b", "c")}
    return {**everything, **{each.processor_id: each for each in abilities}}
