"""An examination told to people, and to programs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import click

from cli.client import as_json
from cli.doctor.findings import Findings, State
from cli.ledger import tell_verdict
from oracle import Heap, Violation, advice_on
from services.kernel.money import Currency, Money

_LISTED_MAX: Final = 20
_WIDTH: Final = 14
_CLOSING: Final = {
    State.FINE: "fine: nothing contradicts anything else",
    State.INCOMPLETE: "not known: what was looked at is as it must be, but not all could be",
    State.DRIFT: "drift: see above what to do",
    State.TAMPERED: "tampered with: somebody wrote to the ledger past the services",
}


def tell(findings: Findings) -> None:
    """Everything that was looked at, and each thing that is not as it must be."""
    report, standing = findings.examination.report, findings.examination.standing
    _line("asked", f"{standing.now:%Y-%m-%d %H:%M:%S} UTC, of the database as of that moment")
    _line("checked", _counts(report.checked))
    _line("payments", _counts(report.payments))
    _line("captured", _amounts(report.captured_minor))
    _line("refunded", _amounts(report.refunded_minor))
    if findings.examination.is_compared:
        _line("processors", f"compared with their own record: {_counts(report.outside)}")
    _line("in doubt", _heaps(standing.in_doubt, standing.now))
    _line("postings", _heaps(standing.postings, standing.now))
    _line("dead letters", _heaps(standing.dead_letters, standing.now))
    _line("webhooks", _heaps(standing.webhooks, standing.now))
    _line("for a person", f"{report.needs_reconciliation} payments are flagged for one to look at")
    if findings.verdict is not None:
        click.echo("the ledger, verified:")
        tell_verdict(findings.verdict)
    for omission in findings.left_out:
        _line("left out", omission)
    for problem in findings.problems:
        _line("not looked at", problem)
    _tell_violations(report.violations)
    click.echo(_CLOSING[findings.state])


def as_tree(findings: Findings) -> Mapping[str, Any]:
    """The same for programs."""
    report, standing = findings.examination.report, findings.examination.standing
    now = standing.now
    return {
        "state": findings.state.word,
        "asked_at": now.isoformat(),
        "checked": report.checked,
        "payments": report.payments,
        "captured_minor": report.captured_minor,
        "refunded_minor": report.refunded_minor,
        "processors": report.outside,
        "needs_reconciliation": report.needs_reconciliation,
        "in_doubt": _heap_trees(standing.in_doubt, now),
        "postings": _heap_trees(standing.postings, now),
        "dead_letters": _heap_trees(standing.dead_letters, now),
        "webhooks": _heap_trees(standing.webhooks, now),
        "ledger": None if findings.verdict is None else as_json(findings.verdict),
        "left_out": findings.left_out,
        "problems": findings.problems,
        "violations": [_violation_tree(each) for each in report.violations],
    }


def _tell_violations(violations: Sequence[Violation]) -> None:
    ordered = sorted(violations, key=lambda each: each.rule)
    for rule, group in groupby(ordered, key=lambda each: each.rule):
        advice, found = advice_on(rule), list(group)
        click.echo(f"\n{advice.meaning} ({rule}, {len(found)}):")
        for each in found[:_LISTED_MAX]:
            click.echo(f"  {each.subject}: {each.message}")
        if len(found) > _LISTED_MAX:
            click.echo(f"  and {len(found) - _LISTED_MAX} more; --output json lists them all")
        click.echo(f"  What to do: {advice.action}")
    if violations:
        click.echo()


def _line(name: str, text: str) -> None:
    click.echo(f"{name:<{_WIDTH}} {text}")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _amounts(amounts_minor: Mapping[str, int]) -> str:
    amounts = (_money(amount, code) for code, amount in sorted(amounts_minor.items()))
    return ", ".join(amounts) or "nothing"


def _heaps(heaps: Iterable[Heap], now: datetime) -> str:
    return "; ".join(_heap(each, now) for each in heaps) or "none"


def _heap(heap: Heap, now: datetime) -> str:
    name = f" {heap.name.replace('_', ' ')}" if heap.name else ""
    amount = f" with {_money(heap.amount_minor, heap.currency)}" if heap.currency else ""
    return f"{heap.count}{name}{amount}, the oldest for {_age(heap, now)}"


def _age(heap: Heap, now: datetime) -> str:
    seconds = _age_seconds(heap, now)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _age_seconds(heap: Heap, now: datetime) -> int:
    return max(round((now - heap.oldest).total_seconds()), 0)


def _money(amount_minor: int, code: str) -> str:
    return str(Money(amount_minor, Currency(code)))


def _heap_trees(heaps: Iterable[Heap], now: datetime) -> list[Mapping[str, Any]]:
    trees: list[Mapping[str, Any]] = []
    for heap in heaps:
        tree: dict[str, Any] = {"name": heap.name} if heap.name else {}
        tree |= {"count": heap.count, "oldest_age_seconds": _age_seconds(heap, now)}
        if heap.currency:
            tree |= {"currency": heap.currency, "amount_minor": heap.amount_minor}
        trees.append(tree)
    return trees


def _violation_tree(violation: Violation) -> Mapping[str, str]:
    advice = advice_on(violation.rule)
    return {
        "rule": violation.rule,
        "subject": violation.subject,
        "message": violation.message,
        "meaning": advice.meaning,
        "action": advice.action,
    }
