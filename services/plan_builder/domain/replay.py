"""What another configuration makes of recorded requests, one by one and all together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.kernel.context import CoreRequestContext
from services.kernel.errors import FailedPrecondition
from services.kernel.ids import MerchantId, PaymentId
from services.kernel.money import Money
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.domain.comparison import FEES, Change, Move, compare
from services.plan_builder.domain.config import Catalogue, PlanningConfig
from services.plan_builder.domain.plan import PaymentPlan

Planned = PaymentPlan | FailedPrecondition
"""What came of planning: a plan, or why there is none."""


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """Whose requests, which of them, and what to send them through."""

    merchant_id: MerchantId
    config: int | bytes
    """A stored version, zero for the newest; or settings that are not stored."""
    last_count: int
    received_from: datetime | None
    received_before: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it came, and the plan that was stored with it, if there is one."""

    payment_id: PaymentId
    context: CoreRequestContext
    plan: PaymentPlan | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some recorded requests, newest first."""

    requests: Sequence[RecordedRequest]
    is_last: bool


@dataclass(frozen=True, slots=True)
class PlanDifference:
    """A recorded request that another configuration would handle otherwise."""

    payment_id: PaymentId
    total: Money
    before: Planned
    after: Planned
    changes: Sequence[Change]
    moves: Sequence[Move] = ()

    @property
    def rules(self) -> Sequence[str]:
        """The rules that have a part in it, the one that decides first."""
        rules = [change.rule for change in self.changes] + [move.rule for move in self.moves]
        return list(dict.fromkeys(rules))

    @property
    def fee_change(self) -> Money:
        """By how much the fee would change; what is refused earns none."""
        return _fee(self.after, self.total) - _fee(self.before, self.total)


@dataclass(frozen=True, slots=True)
class Configurations:
    """The configuration that is tried, the one that holds today, and what processors can take."""

    tried: PlanningConfig
    today: PlanningConfig
    catalogue: Catalogue


def difference(request: RecordedRequest, configs: Configurations) -> PlanDifference | None:
    """How a request would be handled otherwise; None if it would not."""
    context = request.context
    before = request.plan or _planned(context, configs.today, configs.catalogue)
    after = _planned(context, configs.tried, configs.catalogue)
    changes: Sequence[Change]
    moves: Sequence[Move] = ()
    if isinstance(after, FailedPrecondition):
        changes = () if isinstance(before, FailedPrecondition) else _refusal(after, before)
    elif isinstance(before, FailedPrecondition):
        changes = [Change(before.violations[0].rule, "it is refused now and would be planned")]
    else:
        comparison = compare(before, after, context, configs.tried)
        changes, moves = comparison.changes, comparison.moves
    if not changes:
        return None
    return PlanDifference(request.payment_id, context.amount, before, after, changes, moves)


def _planned(context: CoreRequestContext, config: PlanningConfig, catalogue: Catalogue) -> Planned:
    try:
        return build_plan(context, config, catalogue)
    except FailedPrecondition as refusal:
        return refusal


def _refusal(refusal: FailedPrecondition, before: PaymentPlan) -> Sequence[Change]:
    """Every rule that refuses it; first the one that bars it from where it began."""
    began_at = tuple(f"candidates[{step.candidates[0].processor_id}]" for step in before.steps)
    violations = sorted(refusal.violations, key=lambda each: not each.field.endswith(began_at))
    return [
        Change(violation.rule, f"it would be refused ({violation.message})")
        for violation in violations
    ]


def _fee(planned: Planned, total: Money) -> Money:
    return (
        Money.zero(total.currency)
        if isinstance(planned, FailedPrecondition)
        else (planned.platform_fee)
    )


class Amounts:
    """Sums, one for each currency."""

    def __init__(self) -> None:
        self._sums: dict[str, Money] = {}

    def add(self, amount: Money) -> None:
        code = amount.currency.code
        self._sums[code] = self._sums[code] + amount if code in self._sums else amount

    def listed(self) -> tuple[Money, ...]:
        """The sums that are not zero, by currency."""
        return tuple(total for _, total in sorted(self._sums.items()) if not total.is_zero)


@dataclass(slots=True)
class RouteShift:
    """What would begin at one processor instead of another."""

    from_processor_id: str
    to_processor_id: str
    step_count: int = 0
    amounts: Amounts = field(default_factory=Amounts)


@dataclass(slots=True)
class RuleEffect:
    """What one rule or setting would change."""

    rule: str
    request_count: int = 0
    moved: Amounts = field(default_factory=Amounts)
    fee_changes: Amounts = field(default_factory=Amounts)
    refused: Amounts = field(default_factory=Amounts)
    plannable: Amounts = field(default_factory=Amounts)


class Tally:
    """Adds up a replay, request by request; it grows with rules and processors, not requests."""

    def __init__(self) -> None:
        self.requests_replayed = 0
        self.requests_changed = 0
        self.requests_rerouted = 0
        self.requests_refused = 0
        self.requests_plannable = 0
        self.fee_changes = Amounts()
        self.refused = Amounts()
        self.plannable = Amounts()
        self._shifts: dict[tuple[str, str], RouteShift] = {}
        self._effects: dict[str, RuleEffect] = {}

    def add(self, found: PlanDifference | None) -> None:
        """Count a request, and what is otherwise about it."""
        self.requests_replayed += 1
        if found is None:
            return
        self.requests_changed += 1
        for rule in found.rules:
            self._effect(rule).request_count += 1
        self._add_outcome(found)
        self._add_moves(found)
        self._add_fee(found)

    def shifts(self) -> Sequence[RouteShift]:
        """The greatest first."""
        return sorted(
            self._shifts.values(),
            key=lambda each: (-each.step_count, each.from_processor_id, each.to_processor_id),
        )

    def effects(self) -> Sequence[RuleEffect]:
        """The greatest first."""
        return sorted(self._effects.values(), key=lambda each: (-each.request_count, each.rule))

    def _add_outcome(self, found: PlanDifference) -> None:
        decides = self._effect(found.rules[0])
        if isinstance(found.after, FailedPrecondition):
            self.requests_refused += 1
            self.refused.add(found.total)
            decides.refused.add(found.total)
        elif isinstance(found.before, FailedPrecondition):
            self.requests_plannable += 1
            self.plannable.add(found.total)
            decides.plannable.add(found.total)

    def _add_moves(self, found: PlanDifference) -> None:
        self.requests_rerouted += bool(found.moves)
        for move in found.moves:
            key = move.from_processor_id, move.to_processor_id
            shift = self._shifts.setdefault(key, RouteShift(*key))
            shift.step_count += 1
            shift.amounts.add(move.amount)
            self._effect(move.rule).moved.add(move.amount)

    def _add_fee(self, found: PlanDifference) -> None:
        if found.fee_change.is_zero:
            return
        self.fee_changes.add(found.fee_change)
        both = (found.before, found.after)
        is_fee = not any(isinstance(each, FailedPrecondition) for each in both)
        self._effect(FEES if is_fee else found.rules[0]).fee_changes.add(found.fee_change)

    def _effect(self, rule: str) -> RuleEffect:
        return self._effects.setdefault(rule, RuleEffect(rule))
