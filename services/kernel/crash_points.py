"""The names of places at which a process may die with something done and something else not.

Whoever gets to such a place says so; what that does is up to the process. Tests let it die there.
"""

from enum import StrEnum, unique
from typing import Protocol


@unique
class CrashPoint(StrEnum):
    """Where a process may die with something done and something else not."""

    INTENT_COMMITTED = "intent_committed"
    """A payment is committed, and its caller has not heard."""
    ATTEMPT_COMMITTED = "attempt_committed"
    """An attempt is committed, and nobody was asked."""
    PROCESSOR_ANSWERED = "processor_answered"
    """A processor has answered, and nothing of it is saved."""
    RESULT_SAVED = "result_saved"
    """What came of an attempt is saved, and what follows was not begun."""
    CAPTURED_NOT_POSTED = "captured_not_posted"
    """A posting was taken up, and the ledger was not asked."""
    POSTED_NOT_MARKED = "posted_not_marked"
    """The ledger has written a posting, and nobody has noted that."""
    PUBLISHED_NOT_MARKED = "published_not_marked"
    """The broker has a message, and the outbox does not say so."""
    CONSUMED_NOT_ACKNOWLEDGED = "consumed_not_acknowledged"
    """A consumer has done what a message asks for, and the message does not count as done."""
    WEBHOOK_STORED = "webhook_stored"
    """A webhook is stored, and its sender has no answer."""


class Reach(Protocol):
    """Says that a place was reached, and with which operation, where that is told."""

    def __call__(self, point: CrashPoint, operation: str = "") -> None: ...


def live_on(point: CrashPoint, operation: str = "") -> None:
    """What reaching a place does when nobody wants to die."""
