"""The merchant's policy for payments: what may be paid, with which methods, how often and how much.

It is one version of the merchant's configuration, as far as the orchestrator holds to it. A payment
is judged before anything of it is written, and each of its steps again before it is sent.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique
from typing import Final

from services.kernel.context import CoreRequestContext, PaymentMethod
from services.kernel.errors import FailedPrecondition, FieldViolation, InvalidArgument, Reason
from services.kernel.money import Money
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.quota import Draw, Draws, Quota, QuotaKey, seconds_text

# The most that the ledger takes in one leg.
MAX_PAYMENT_MINOR: Final = 10**15


@unique
class VelocityScope(StrEnum):
    """Whose payments are counted together."""

    USER = "user"
    MERCHANT = "merchant"


@dataclass(frozen=True, slots=True)
class AmountLimit:
    """Bounds a single step, of one method or of all."""

    method: PaymentMethod | None
    min_amount: Money | None
    max_amount: Money | None

    def violation(self, path: str, method: PaymentMethod, amount: Money) -> FieldViolation | None:
        """What is wrong with a step; a bound in another currency says nothing about it."""
        if self.method not in (None, method):
            return None
        least, most = self.min_amount, self.max_amount
        if least is not None and least.currency == amount.currency and amount < least:
            return FieldViolation(f"{path}.amount", "limits.min_amount", f"must be {least} or more")
        if most is not None and most.currency == amount.currency and amount > most:
            return FieldViolation(f"{path}.amount", "limits.max_amount", f"must be {most} or less")
        return None


@dataclass(frozen=True, slots=True)
class VelocityLimit:
    """Bounds what is paid within a span of time, by count, by amount in its currency, or both."""

    scope: VelocityScope
    window: timedelta
    max_count: int
    max_amount: Money | None

    @property
    def rule(self) -> str:
        """Its name: no two limits of a merchant share scope, window and currency."""
        currency = "" if self.max_amount is None else f".{self.max_amount.currency}"
        return f"velocity.{self.scope}.{seconds_text(self.window)}s{currency}"

    def violation(self, amount: Money) -> FieldViolation | None:
        """What is wrong with a payment that no waiting would make fit."""
        most = self._most_of(amount)
        if most is None or amount <= most:
            return None
        return FieldViolation("context.amount", self.rule, f"must be {most} or less")

    def draw(self, request: CoreRequestContext) -> Draw | None:
        """What a payment takes of it, if it says anything about it."""
        subject = "all" if self.scope is VelocityScope.MERCHANT else request.user_id
        most = self._most_of(request.amount)
        if subject is None or (most is None and not self.max_count):
            return None
        key = QuotaKey(request.merchant_id, self.rule, subject)
        if most is None:
            return Draw(Quota(key, self.window, self.max_count))
        quota = Quota(key, self.window, self.max_count, most.amount_minor)
        return Draw(quota, request.amount.amount_minor)

    def _most_of(self, amount: Money) -> Money | None:
        most = self.max_amount
        return most if most is not None and most.currency == amount.currency else None


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """A number of attempts within a span of time."""

    max_attempts: int
    window: timedelta


FIVE_AN_HOUR: Final = AttemptLimit(5, timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a merchant allows; a merchant without a configuration allows all, five times an hour."""

    config_version: int = 0
    allowed_methods: frozenset[PaymentMethod] = frozenset()
    """Empty for every method."""
    amount_limits: tuple[AmountLimit, ...] = ()
    velocity_limits: tuple[VelocityLimit, ...] = ()
    attempts_per_user: AttemptLimit = FIVE_AN_HOUR
    attempts_per_api_key: AttemptLimit | None = None

    def check_request(self, request: CoreRequestContext) -> None:
        """Raise what forbids a request for which there is no plan yet.

        How a split is divided, and so what its steps take, only the plan says.
        """
        self._require(self._request_violations(request))

    def check_plan(self, request: CoreRequestContext, plan: Plan) -> None:
        """Raise what forbids a payment that is about to be set going."""
        self._require(self._plan_violations(request, plan))

    def step_violations(
        self, path: str, method: PaymentMethod, amount: Money
    ) -> Iterator[FieldViolation]:
        """What forbids a step of a payment."""
        yield from self._method_violations(path, method)
        for limit in self.amount_limits:
            violation = limit.violation(path, method, amount)
            if violation is not None:
                yield violation

    def attempt_draws(self, request: CoreRequestContext) -> Draws:
        """What an attempt counts for: the user's, or the API key's where no user is known."""
        if request.user_id is not None:
            return (_attempt(request, "user", request.user_id, self.attempts_per_user),)
        if request.api_key_id is None or self.attempts_per_api_key is None:
            return ()
        return (_attempt(request, "api_key", request.api_key_id, self.attempts_per_api_key),)

    def velocity_draws(self, request: CoreRequestContext) -> Draws:
        """What a payment counts for once it is set going, whatever becomes of it."""
        draws = (limit.draw(request) for limit in self.velocity_limits)
        return tuple(draw for draw in draws if draw is not None)

    def _request_violations(self, request: CoreRequestContext) -> Iterator[FieldViolation]:
        if request.steps:
            for index, step in enumerate(request.steps):
                yield from self._method_violations(f"steps[{index}]", step.instrument.method)
        else:
            method = request.instrument.method
            yield from self.step_violations("payment", method, request.amount)
        yield from self._velocity_violations(request.amount)

    def _plan_violations(self, request: CoreRequestContext, plan: Plan) -> Iterator[FieldViolation]:
        for step in plan.steps:
            path = f"steps[{step.index}]" if request.steps else "payment"
            method = step.instrument.method
            if step.amount.is_zero:
                # It only takes what others leave, and is judged when it is known how much.
                yield from self._method_violations(path, method)
            else:
                yield from self.step_violations(path, method, step.amount)
        yield from self._velocity_violations(plan.total)

    def _method_violations(self, path: str, method: PaymentMethod) -> Iterator[FieldViolation]:
        if self.allowed_methods and method not in self.allowed_methods:
            problem = f"the merchant does not accept {method}"
            yield FieldViolation(f"{path}.method", "methods.allowed", problem)

    def _velocity_violations(self, amount: Money) -> Iterator[FieldViolation]:
        for limit in self.velocity_limits:
            violation = limit.violation(amount)
            if violation is not None:
                yield violation

    def _require(self, violations: Iterable[FieldViolation]) -> None:
        broken = tuple(violations)
        if not broken:
            return
        rules = ", ".join(dict.fromkeys(each.rule for each in broken))
        raise FailedPrecondition(
            f"the merchant's policy forbids the payment: {rules}",
            reason=Reason.POLICY_VIOLATED,
            violations=broken,
            details={"config_version": str(self.config_version)},
        )


def check_amount(amount: Money) -> None:
    """Raise InvalidArgument for more than could ever be booked."""
    if amount.amount_minor <= MAX_PAYMENT_MINOR:
        return
    problem = f"must be {MAX_PAYMENT_MINOR} minor units or less"
    raise InvalidArgument(
        "the amount is more than can be booked",
        reason=Reason.AMOUNT_INVALID,
        violations=[FieldViolation("context.amount", "amount.range", problem)],
    )


def _attempt(request: CoreRequestContext, whose: str, subject: str, limit: AttemptLimit) -> Draw:
    key = QuotaKey(request.merchant_id, f"attempts.per_{whose}", subject)
    return Draw(Quota(key, limit.window, limit.max_attempts))
