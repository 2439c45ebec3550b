"""What a merchant can decide about its payments, as read from a request and not yet judged.

Codes that only a rule can judge (a currency that is only named, a country, a processor) are plain
text here, so that a setting that is wrong can be told of beside all the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from services.kernel.context import CaptureMethod, CardNetwork, PaymentMethod, SplitPolicy
from services.kernel.ids import MerchantId
from services.kernel.money import Money
from services.kernel.retry import RetryPolicy


@unique
class VelocityScope(StrEnum):
    """Whose payments are counted together."""

    USER = "user"
    MERCHANT = "merchant"


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """What the platform charges for a captured amount: a share of it and a fixed part."""

    basis_points: int = 0
    fixed: tuple[Money, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessorPreference:
    """A processor that may be used; with a weight, the share of payments that begin with it."""

    processor_id: str
    weight_percent: int = 0
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class AmountBand:
    """Amounts in one currency, from one on and below another."""

    from_amount: Money | None = None
    below_amount: Money | None = None


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Which steps a rule matches: those that fit every field that is not empty."""

    methods: tuple[PaymentMethod, ...] = ()
    card_networks: tuple[CardNetwork, ...] = ()
    currencies: tuple[str, ...] = ()
    amount_band: AmountBand | None = None
    countries: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """One candidate of a rule."""

    processor_id: str
    weight_percent: int = 0


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Sends the steps that it matches to certain processors."""

    name: str
    match: RouteMatch = RouteMatch()
    targets: tuple[RouteTarget, ...] = ()
    excluded_processor_ids: tuple[str, ...] = ()
    step_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    failover_on_soft_decline: bool = False


@dataclass(frozen=True, slots=True)
class AmountLimit:
    """Bounds a single step, of one method or of all."""

    method: PaymentMethod | None = None
    min_amount: Money | None = None
    max_amount: Money | None = None


@dataclass(frozen=True, slots=True)
class VelocityLimit:
    """Bounds what is paid within a span of time; without a scope it cannot be stored."""

    scope: VelocityScope | None
    window: timedelta | None
    max_count: int = 0
    max_amount: Money | None = None


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """A number of attempts within a span of time."""

    max_attempts: int
    window: timedelta | None


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How often a payment may be attempted, by one user and by one API key."""

    per_user: AttemptLimit | None = None
    per_api_key: AttemptLimit | None = None


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where the merchant is told what happens."""

    name: str
    url: str
    event_types: tuple[str, ...] = ()
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantSettings:
    """All of it."""

    default_currency: str = ""
    fees: FeeSchedule = FeeSchedule()
    capture_method: CaptureMethod | None = None
    split_policy: SplitPolicy | None = None
    processors: tuple[ProcessorPreference, ...] = ()
    routing_rules: tuple[RoutingRule, ...] = ()
    step_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    allowed_methods: tuple[PaymentMethod, ...] = ()
    amount_limits: tuple[AmountLimit, ...] = ()
    velocity_limits: tuple[VelocityLimit, ...] = ()
    attempt_limits: AttemptLimits = AttemptLimits()
    webhook_endpoints: tuple[WebhookEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class MerchantConfig:
    """One version of a merchant's settings; a list of versions leaves the settings out."""

    merchant_id: MerchantId
    version: int
    settings: MerchantSettings | None
    comment: str
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProcessorFacts:
    """What a processor takes, as far as a configuration can be at odds with it; empty means all."""

    methods: frozenset[PaymentMethod] = frozenset()
    currencies: frozenset[str] = frozenset()
