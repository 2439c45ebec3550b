"""A payment plan: what is to be done for a payment, step by step, with the reasons."""

from dataclasses import dataclass
from datetime import timedelta

from services.kernel.context import CaptureMethod, PaymentInstrument, SplitPolicy
from services.kernel.ids import MerchantId
from services.kernel.money import Money
from services.kernel.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A processor that may take a step; without a timeout it has as long as the step."""

    processor_id: str
    timeout: timedelta | None


@dataclass(frozen=True, slots=True)
class CandidateDecision:
    """Why a processor is a candidate, or is none."""

    processor_id: str
    is_kept: bool
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class PaymentStep:
    """One part of a payment, paid with one instrument at one processor.

    An amount of zero is a fallback alone: the step takes what earlier ones leave over, if any.
    """

    index: int
    instrument: PaymentInstrument
    amount: Money
    max_amount: Money
    candidates: tuple[Candidate, ...]
    timeout: timedelta
    retry_policy: RetryPolicy
    failover_on_soft_decline: bool
    decisions: tuple[CandidateDecision, ...]

    def __post_init__(self) -> None:
        assert self.candidates, "a step has somewhere to go"
        assert self.amount <= self.max_amount, "a step takes no more than it may"


def routed_amount(amount: Money, max_amount: Money) -> Money:
    """What rules go by: a step that is a fallback alone is routed as if it took its most."""
    return max_amount if amount.is_zero else amount


@dataclass(frozen=True, slots=True)
class PaymentPlan:
    """Every step of a payment; their amounts sum to the total."""

    merchant_id: MerchantId
    config_version: int
    total: Money
    split_policy: SplitPolicy
    capture_method: CaptureMethod
    steps: tuple[PaymentStep, ...]
    platform_fee: Money

    def __post_init__(self) -> None:
        planned = Money.total((step.amount for step in self.steps), self.total.currency)
        assert planned == self.total, "the steps make up the total"
