"""A payment plan as far as carrying it out needs it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from services.kernel.context import (
    MAX_STEPS,
    CaptureMethod,
    CoreRequestContext,
    PaymentInstrument,
    SplitPolicy,
)
from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.ids import MerchantId
from services.kernel.money import Money
from services.kernel.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A processor that may take a step; without a timeout it has as long as the step."""

    processor_id: str
    timeout: timedelta | None


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One part of a payment, paid with one instrument at one of its candidates."""

    index: int
    instrument: PaymentInstrument
    amount: Money
    max_amount: Money
    candidates: tuple[Candidate, ...]
    timeout: timedelta
    retry_policy: RetryPolicy
    failover_on_soft_decline: bool

    def timeout_at(self, processor_id: str) -> timedelta:
        """How long one attempt may take at a processor."""
        own = next((each for each in self.candidates if each.processor_id == processor_id), None)
        if own is None or own.timeout is None:
            return self.timeout
        return min(own.timeout, self.timeout)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a payment; `record` is all of it, with the reasons."""

    digest: str
    merchant_id: MerchantId
    config_version: int
    total: Money
    split_policy: SplitPolicy
    capture_method: CaptureMethod
    platform_fee: Money
    steps: tuple[PlanStep, ...]
    record: bytes = field(repr=False)

    @property
    def takes_at_once(self) -> bool:
        """Whether a step's amount may be taken with its hold: nothing else is to be waited for."""
        return self.capture_method is CaptureMethod.AUTOMATIC and len(self.steps) == 1

    def check_for(self, request: CoreRequestContext) -> None:
        """Raise InvalidArgument, with every reason, unless this is a plan of that request."""
        violations = list(self._violations(request))
        if violations:
            raise InvalidArgument("the plan is none of this request", violations=violations)

    def _violations(self, request: CoreRequestContext) -> Iterator[FieldViolation]:
        if self.merchant_id != request.merchant_id:
            yield _violation("merchant_id", "same", "must be the merchant of the request")
        if self.total != request.amount:
            yield _violation("total", "same", f"must be {request.amount}, as was asked for")
        if self.platform_fee.currency != self.total.currency or self.platform_fee.is_negative:
            yield _violation("platform_fee", "sound", f"must be zero or more {self.total.currency}")
        elif self.platform_fee > self.total:
            yield _violation("platform_fee", "range", f"must not exceed {self.total}")
        if not self.steps:
            yield _violation("steps", "present", "must not be empty")
            return
        if len(self.steps) > MAX_STEPS:
            yield _violation("steps", "count", f"must be at most {MAX_STEPS}")
        if any(step.amount.currency != self.total.currency for step in self.steps):
            yield _violation("steps", "currency", f"must all be in {self.total.currency}")
        elif Money.total((step.amount for step in self.steps), self.total.currency) != self.total:
            yield _violation("steps", "sum", f"must sum to {self.total}")
        for place, step in enumerate(self.steps):
            yield from _step_violations(place, step)


def _step_violations(place: int, step: PlanStep) -> Iterator[FieldViolation]:
    path = f"steps[{place}]"
    if step.index != place:
        yield _violation(f"{path}.index", "order", f"must be {place}")
    if step.amount.is_negative:
        yield _violation(f"{path}.amount", "range", "must not be negative")
    if step.max_amount.currency != step.amount.currency or step.max_amount < step.amount:
        yield _violation(f"{path}.max_amount", "range", f"must be {step.amount} or more")
    if not step.candidates or not all(each.processor_id for each in step.candidates):
        yield _violation(f"{path}.candidates", "present", "must name a processor")
    if step.timeout <= timedelta(0):
        yield _violation(f"{path}.timeout", "positive", "must be more than nothing")
    if step.instrument.token is None:
        yield _violation(f"{path}.instrument.token", "present", "is needed to authorize")


def _violation(name: str, rule: str, message: str) -> FieldViolation:
    return FieldViolation(f"plan.{name}", f"plan.{name.rpartition('.')[2]}.{rule}", message)
