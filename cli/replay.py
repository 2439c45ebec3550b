"""What a replay of recorded requests has found, for people and for programs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import click
from payments.core.v1.failure_pb2 import Failure
from payments.core.v1.money_pb2 import Money as MoneyMessage
from payments.plan.v1.plan_builder_service_pb2 import ReplayPlansResponse
from payments.plan.v1.plan_replay_pb2 import (
    PlanDifference,
    PlanReplaySummary,
    RouteShift,
    RuleEffect,
)

from cli.client import as_json
from cli.tables import amount_text, print_table

_NONE: Final = "-"


class Findings:
    """The sums, and the first few differences of each kind: never more, whatever there is."""

    def __init__(self, show_count: int) -> None:
        self.summary = PlanReplaySummary()
        self.refused: list[PlanDifference] = []
        self.plannable: list[PlanDifference] = []
        self.planned_otherwise: list[PlanDifference] = []
        self._show_count = show_count

    def hear(self, told: ReplayPlansResponse) -> None:
        """Take in one report; the last one is the summary."""
        if told.HasField("summary"):
            self.summary = told.summary
        if told.HasField("difference"):
            kind = self._kind(told.difference)
            if len(kind) < self._show_count:
                kind.append(told.difference)

    def _kind(self, difference: PlanDifference) -> list[PlanDifference]:
        if difference.HasField("refused"):
            return self.refused
        return self.plannable if difference.HasField("refused_now") else self.planned_otherwise


def findings_json(findings: Findings) -> dict[str, Any]:
    shown = (*findings.refused, *findings.plannable, *findings.planned_otherwise)
    return {
        "summary": as_json(findings.summary),
        "differences": [as_json(difference) for difference in shown],
    }


def tell_findings(findings: Findings, merchant_id: str) -> None:
    """The sums, what moves, what each rule does, and some of the requests by name."""
    summary = findings.summary
    if not summary.requests_replayed:
        click.echo(f"no request of {merchant_id} is recorded there: nothing was replayed")
        return
    changed = summary.requests_changed or "none"
    replayed = summary.requests_replayed
    click.echo(f"{replayed} recorded requests: {changed} would be handled otherwise")
    if not summary.requests_changed:
        return
    for line in _summary_lines(summary):
        click.echo(line)
    _tell_table(_SHIFT_COLUMNS, [_shift_row(shift) for shift in summary.route_shifts])
    _tell_table(_RULE_COLUMNS, [_rule_row(effect) for effect in summary.rule_effects])
    others = summary.requests_changed - summary.requests_refused - summary.requests_plannable
    for line in (
        *_named("would be refused", findings.refused, summary.requests_refused),
        *_named("refused now, would be planned", findings.plannable, summary.requests_plannable),
        *_named("would be planned otherwise", findings.planned_otherwise, others),
    ):
        click.echo(line)


_SHIFT_COLUMNS: Final = ("from", "to", "steps", "amounts")
_RULE_COLUMNS: Final = ("rule", "requests", "moved", "refused", "planned", "fees")


def _summary_lines(summary: PlanReplaySummary) -> Iterator[str]:
    yield f"  {summary.requests_rerouted} would begin at another processor, in whole or in part"
    refused = _amounts(summary.amounts_refused)
    yield f"  {summary.requests_refused} would be refused: {refused}"
    plannable = _amounts(summary.amounts_plannable)
    yield f"  {summary.requests_plannable} are refused now and would be planned: {plannable}"
    yield f"  fees: {_changes(summary.fee_changes)}"


def _shift_row(shift: RouteShift) -> Sequence[str]:
    ends = shift.from_processor_id, shift.to_processor_id
    return (*ends, str(shift.step_count), _amounts(shift.amounts))


def _rule_row(effect: RuleEffect) -> Sequence[str]:
    return (
        effect.rule,
        str(effect.request_count),
        _amounts(effect.amounts_moved),
        _amounts(effect.amounts_refused),
        _amounts(effect.amounts_plannable),
        _changes(effect.fee_changes),
    )


def _tell_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        click.echo()
        print_table(columns, rows)


def _named(title: str, shown: Sequence[PlanDifference], count: int) -> Iterator[str]:
    if not count:
        return
    yield from ("", f"{title}:")
    for each in shown:
        total = (each.recorded if each.HasField("recorded") else each.replayed).total
        yield f"  {each.payment_id}, {amount_text(total)}"
        yield from (f"    {reason}" for reason in _reasons(each))
    if more := count - len(shown):
        yield f"  and {more} more (--show names more)"


def _reasons(difference: PlanDifference) -> Iterable[str]:
    if difference.HasField("refused"):
        return _refusal(difference.refused)
    if difference.HasField("refused_now"):
        return _refusal(difference.refused_now)
    return difference.differences


def _refusal(failure: Failure) -> Iterable[str]:
    violations = (f"{v.field}: {v.message} ({v.rule})" for v in failure.violations)
    return failure.message, *violations


def _amounts(amounts: Iterable[MoneyMessage]) -> str:
    return ", ".join(map(amount_text, amounts)) or _NONE


def _changes(amounts: Iterable[MoneyMessage]) -> str:
    texts = (f"{'+' if each.amount_minor > 0 else ''}{amount_text(each)}" for each in amounts)
    return ", ".join(texts) or _NONE
