"""An attempt on its way through the router: what is asked, what came back, what was decided."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from services.kernel.outcome import ErrorCode, Outcome
from services.kernel.retry import RetryPolicy

DEFAULT_TIMEOUT: Final = timedelta(seconds=30)


@unique
class Operation(StrEnum):
    """What a processor is asked to do."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    LOOKUP = "lookup"


@dataclass(frozen=True, slots=True)
class Order:
    """One committed attempt, and how it may be carried out.

    The attempt itself is passed on as it came: the router looks at no more of it than is here.
    """

    attempt: object
    attempt_id: str
    processor_id: str
    operation: Operation
    idempotency_key: str
    key_expires_at: datetime | None = None
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    alternatives: tuple[str, ...] = ()
    failover_on_soft_decline: bool = False
    may_have_been_sent: bool = False
    """Before, by somebody who has not recorded what came of it."""

    def is_key_forgotten(self, now: datetime) -> bool:
        """Whether the processor may take a repetition for something new."""
        return self.key_expires_at is not None and now >= self.key_expires_at


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order as far as it is known; `result` is the processor's own telling."""

    processor_id: str
    outcome: Outcome
    error_code: ErrorCode | None = None
    is_retryable: bool = False
    decline_code: str = ""
    message: str = ""
    observed_at: datetime | None = None
    result: object | None = None

    @property
    def may_be_repeated(self) -> bool:
        """Whether it certainly did not happen, and could if it were asked for again."""
        return self.outcome is Outcome.FAILED and self.is_retryable


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was decided on the way, and by which rule."""

    processor_id: str
    rule: str
    message: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Try:
    """One request that was sent."""

    number: int
    operation: Operation
    sent_at: datetime
    answer: Answer


@dataclass(frozen=True, slots=True)
class Execution:
    """All that came of an order."""

    answer: Answer
    failover_to: str | None
    decisions: tuple[Decision, ...]
    tries: tuple[Try, ...]
