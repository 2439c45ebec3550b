"""What a processor says of an attempt, and the rule that an answer must fit what was asked.

The outcome errs to one side: whatever leaves open whether money moved is UNKNOWN and is looked up.
FAILED is said only of what certainly did not happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.processor.domain.attempt import Attempt, Operation


@dataclass(frozen=True, slots=True)
class Redirect:
    """The page that the customer's browser must visit, and where that page sends it afterwards."""

    url: str
    return_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """What an answer says it is about: it must be what was asked about."""

    amount: Money
    hold: str
    attempt_id: str | None = None
    """The attempt that the processor's object carries, where it carries one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an adapter makes of an answer; `judged` has the last word."""

    outcome: Outcome
    echo: Echo | None = None
    reference: str | None = None
    """The processor's own id of what it did."""
    error_code: ErrorCode | None = None
    decline_code: str | None = None
    """The processor's own word for why not."""
    retryable: bool = False
    """Whether the same request, under the same key, may be sent again and could succeed."""
    redirect: Redirect | None = None
    anomaly: str | None = None
    captured: Money | None = None
    """What is taken: with the hold, or before it could be released; None where nothing is."""
    fee: Money | None = None
    raw: Mapping[str, object] = field(default_factory=dict, hash=False)
    """The processor's answer; from an adapter as it came, in a Result as it may be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one attempt at one processor came to."""

    processor_id: str
    verdict: Verdict
    latency_ms: int
    observed_at: datetime

    @property
    def success(self) -> bool:
        return self.verdict.outcome is Outcome.SUCCEEDED

    @property
    def amount_processed(self) -> Money | None:
        """The amount that was held, taken, released or returned."""
        if not self.success or self.verdict.echo is None:
            return None
        return self.verdict.echo.amount


class Trouble(Exception):
    """Why there is no answer to read; `reference` is what is known of the processor's object."""

    def __init__(self, message: str, *, reference: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reference = reference

    @property
    def verdict(self) -> Verdict:
        """What it means for the attempt: unless more is known, it may have happened."""
        return unknown(ErrorCode.TIMEOUT, reference=self.reference, raw=problem(self.message))


class NotSent(Trouble):
    """The processor was not reached: nothing was sent to it."""

    @property
    def verdict(self) -> Verdict:
        return failed(
            ErrorCode.NETWORK_FAILURE,
            retryable=True,
            reference=self.reference,
            raw=problem(self.message),
        )


class CannotAsk(Trouble):
    """The processor has no words for what is asked: nothing was, or ever will be, sent to it."""

    @property
    def verdict(self) -> Verdict:
        return failed(ErrorCode.UNKNOWN, decline_code="cannot_be_asked", raw=problem(self.message))


class NoAnswer(Trouble):
    """The request may have reached the processor, and what it answered is lost."""


class Misfit(Trouble):
    """The processor answered, and the answer cannot be an answer to what was asked."""

    def __init__(
        self,
        anomaly: str,
        *,
        reference: str | None = None,
        raw: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(anomaly, reference=reference)
        self.raw = raw

    @property
    def verdict(self) -> Verdict:
        return unknown(
            ErrorCode.PROCESSING_ERROR,
            reference=self.reference,
            anomaly=self.message,
            raw=self.raw or problem(self.message),
        )


def judged(attempt: Attempt, verdict: Verdict) -> Verdict:
    """The verdict, or UNKNOWN with an anomaly where the answer does not fit the attempt."""
    anomaly = verdict.anomaly or _misfit(attempt, verdict)
    if anomaly is None:
        return verdict
    return replace(
        verdict,
        outcome=Outcome.UNKNOWN,
        error_code=ErrorCode.PROCESSING_ERROR,
        retryable=False,
        redirect=None,
        captured=None,
        anomaly=anomaly,
    )


def unknown(
    code: ErrorCode,
    *,
    reference: str | None = None,
    anomaly: str | None = None,
    raw: Mapping[str, object] | None = None,
) -> Verdict:
    """It may have happened."""
    return Verdict(
        outcome=Outcome.UNKNOWN,
        error_code=code,
        reference=reference,
        anomaly=anomaly,
        raw=raw or {},
    )


def failed(
    code: ErrorCode,
    *,
    retryable: bool = False,
    decline_code: str | None = None,
    reference: str | None = None,
    echo: Echo | None = None,
    raw: Mapping[str, object] | None = None,
) -> Verdict:
    """It certainly did not happen."""
    return Verdict(
        outcome=Outcome.FAILED,
        error_code=code,
        retryable=retryable,
        decline_code=decline_code,
        reference=reference,
        echo=echo,
        raw=raw or {},
    )


def problem(message: str) -> dict[str, object]:
    """What is kept for explaining where there is no answer to keep."""
    return {"problem": message}


def check_echo(attempt: Attempt, echo: Echo, raw: Mapping[str, object] | None = None) -> None:
    """Stop before a second request builds on an answer that does not fit."""
    if anomaly := _echo_misfit(attempt, echo):
        raise Misfit(anomaly, reference=echo.hold, raw=raw)


def _misfit(attempt: Attempt, verdict: Verdict) -> str | None:
    is_failure = verdict.outcome is Outcome.FAILED
    if verdict.outcome is Outcome.UNKNOWN or (is_failure and verdict.echo is None):
        return None
    if verdict.echo is None:
        return "the answer does not say what it is about"
    if verdict.outcome is Outcome.REQUIRES_ACTION and verdict.redirect is None:
        return "the customer is to act, and the answer names no page"
    if not is_failure and verdict.reference is None:
        return "the answer has no id"
    may_be_taken = (None, attempt.amount) if attempt.capture_at_once else (None,)
    if not is_failure and verdict.captured not in may_be_taken:
        return f"{verdict.captured} was taken, which nobody asked for"
    return _echo_misfit(attempt, verdict.echo)


def _echo_misfit(attempt: Attempt, echo: Echo) -> str | None:
    if echo.amount != attempt.amount:
        return f"asked for {_said(attempt.amount)}, the answer says {_said(echo.amount)}"
    if attempt.hold is not None and echo.hold != attempt.hold:
        return f"asked about {attempt.hold}, the answer is about {echo.hold}"
    carries = attempt.operation in (Operation.AUTHORIZE, Operation.REFUND)
    if carries and echo.attempt_id != attempt.id:
        return f"asked for attempt {attempt.id}, the answer is about {echo.attempt_id or 'none'}"
    return None


def _said(amount: Money) -> str:
    return f"{amount.amount_minor} {amount.currency} (minor units)"
