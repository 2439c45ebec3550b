"""What an examination came to, and how bad that is."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from payments.ledger.v1.integrity_pb2 import IntegrityState, IntegrityVerdict

from oracle import Examination

_FORGED: Final = frozenset({"ledger.sum", "ledger.unbalanced"})


class State(Enum):
    """The verdict in a word, with the exit code that tells it."""

    FINE = "fine", 0
    INCOMPLETE = "incomplete", 1
    DRIFT = "drift", 3
    TAMPERED = "tampered", 4

    @property
    def word(self) -> str:
        return str(self.value[0])

    @property
    def exit_code(self) -> int:
        return int(self.value[1])


@dataclass(frozen=True)
class Findings:
    """All that was found, and what could not be looked at."""

    examination: Examination
    verdict: IntegrityVerdict | None = None
    """What verifying the ledger came to; None where nobody was asked."""
    problems: tuple[str, ...] = field(default=())
    """What should have been looked at and could not be."""
    left_out: tuple[str, ...] = field(default=())
    """What was not to be looked at."""

    @property
    def state(self) -> State:
        violations = self.examination.report.violations
        is_intact = self.verdict is None or (
            self.verdict.state == IntegrityState.INTEGRITY_STATE_INTACT
        )
        # Nobody who writes through the services can bring the ledger out of balance.
        if not is_intact or any(each.rule in _FORGED for each in violations):
            return State.TAMPERED
        if violations:
            return State.DRIFT
        return State.INCOMPLETE if self.problems else State.FINE
