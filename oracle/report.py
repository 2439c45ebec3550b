"""What the oracle says: how much it looked at, and each thing that is not as it must be."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

_LISTED_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long something may take before it counts as left lying."""

    work: timedelta = timedelta(seconds=60)
    """A payment that is due, a posting, a message, an answer that somebody waits for."""
    in_doubt: timedelta | None = None
    """What is in doubt; None for as long as it can be seen."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be: by which rule, about what, and why."""

    rule: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """The oracle's answer."""

    payments: Mapping[str, int] = field(default_factory=dict)
    """How many payments stand in each state."""
    checked: Mapping[str, int] = field(default_factory=dict)
    """How many rows of each kind were looked at."""
    outside: Mapping[str, int] = field(default_factory=dict)
    """How much of each kind the processor's own record tells of."""
    captured_minor: Mapping[str, int] = field(default_factory=dict)
    refunded_minor: Mapping[str, int] = field(default_factory=dict)
    """By currency, what was taken and what went back."""
    messages: int = 0
    in_doubt: int = 0
    needs_reconciliation: int = 0
    """What is in doubt, or for a person to look at: visible, and no violation."""
    violations: Sequence[Violation] = ()

    @property
    def is_clean(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        lines = [
            f"payments: {_counts(self.payments)}",
            f"the processor's record: {_counts(self.outside)}",
            f"captured: {_amounts(self.captured_minor)}; refunded: {_amounts(self.refunded_minor)}",
            f"messages: {self.messages}",
            f"in doubt: {self.in_doubt}; for a person to look at: {self.needs_reconciliation}",
        ]
        if self.is_clean:
            return "\n".join([*lines, "violations: none"])
        rules = Counter(each.rule for each in self.violations)
        lines.append(f"violations: {len(self.violations)} ({_counts(rules)})")
        lines += [f"  {each}" for each in self.violations[:_LISTED_MAX]]
        if len(self.violations) > _LISTED_MAX:
            lines.append(f"  and {len(self.violations) - _LISTED_MAX} more")
        return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{total} ({parts})" if parts else "none"


def _amounts(amounts_minor: Mapping[str, int]) -> str:
    parts = (f"{amount} {currency}" for currency, amount in sorted(amounts_minor.items()))
    return ", ".join(parts) or "nothing"
