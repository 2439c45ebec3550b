"""What planning reads of a merchant's configuration, and of the processors, made ready to ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.kernel.context import (
    CaptureMethod,
    CardNetwork,
    CoreRequestContext,
    PaymentInstrument,
    PaymentMethod,
    SplitPolicy,
)
from services.kernel.ids import MerchantId
from services.kernel.money import Money
from services.kernel.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Fees:
    """What the platform charges: a share in hundredths of a percent, and a fixed part."""

    basis_points: int
    fixed: Mapping[str, Money]

    def on(self, amount: Money) -> Money:
        """The fee on an amount, which is never more than the amount."""
        fee = amount.basis_points(self.basis_points)
        fixed = self.fixed.get(amount.currency.code)
        return min(fee if fixed is None else fee + fixed, amount)


@dataclass(frozen=True, slots=True)
class Choice:
    """A processor in an order of preference."""

    processor_id: str
    weight_percent: int


@dataclass(frozen=True, slots=True)
class AmountBand:
    """Amounts in one currency, from one on and below another."""

    from_amount: Money | None
    below_amount: Money | None

    def holds(self, amount: Money) -> bool:
        for bound in (self.from_amount, self.below_amount):
            if bound is not None and bound.currency != amount.currency:
                return False
        reaches = self.from_amount is None or amount >= self.from_amount
        return reaches and (self.below_amount is None or amount < self.below_amount)


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Which steps a rule matches: those that fit every field that is not empty."""

    methods: frozenset[PaymentMethod]
    card_networks: frozenset[CardNetwork]
    currencies: frozenset[str]
    amount_band: AmountBand | None
    countries: frozenset[str]
    metadata: Mapping[str, str]

    def fits(
        self, context: CoreRequestContext, instrument: PaymentInstrument, amount: Money
    ) -> bool:
        return (
            (not self.methods or instrument.method in self.methods)
            and (not self.card_networks or instrument.network in self.card_networks)
            and (not self.currencies or amount.currency.code in self.currencies)
            and (not self.countries or context.country in self.countries)
            and (self.amount_band is None or self.amount_band.holds(amount))
            and all(context.metadata.get(key) == value for key, value in self.metadata.items())
        )


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Sends the steps that it matches to certain processors."""

    name: str
    match: RouteMatch
    targets: tuple[Choice, ...]
    excluded: frozenset[str]
    step_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    failover_on_soft_decline: bool


@dataclass(frozen=True, slots=True)
class AmountLimit:
    """Bounds a single step, of one method or of all."""

    method: PaymentMethod | None
    min_amount: Money | None
    max_amount: Money | None


@dataclass(frozen=True, slots=True)
class PlanningConfig:
    """One version of a merchant's configuration, as far as plans depend on it."""

    merchant_id: MerchantId
    version: int
    fees: Fees
    capture_method: CaptureMethod
    split_policy: SplitPolicy
    processors: tuple[Choice, ...]
    timeouts: Mapping[str, timedelta]
    rules: tuple[RoutingRule, ...]
    step_timeout: timedelta
    retry_policy: RetryPolicy
    allowed_methods: frozenset[PaymentMethod]
    amount_limits: tuple[AmountLimit, ...]


@dataclass(frozen=True, slots=True)
class ProcessorAbility:
    """What a processor can take; an empty set stands for everything."""

    processor_id: str
    is_enabled: bool
    can_authorize: bool
    methods: frozenset[PaymentMethod]
    currencies: frozenset[str]
    card_networks: frozenset[CardNetwork]
    countries: frozenset[str]


Catalogue = Mapping[str, ProcessorAbility]
"""Every processor there is, by its id."""
