"""A processor that remembers what it did: the truth that a payment must come to agree with."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Attempt, Execution, Redirect
from services.orchestrator.domain.state import Operation

REDIRECT = Redirect("https://bank.example/3ds", "https://merchant.example")


class Mood(Enum):
    """How the bank takes an order that it has not seen before."""

    APPROVE = auto()
    DECLINE = auto()
    CHALLENGE = auto()
    """The customer must act before it is approved."""
    TAKE_ON = auto()
    """It says later how it ended."""


@dataclass
class Hold:
    """One hold and what became of it, in minor units."""

    amount: int
    captured: int = 0
    refunded: int = 0
    is_open: bool = True


@dataclass
class Bank:
    """Does each order once, by its key, and answers the same ever after."""

    holds: dict[str, Hold] = field(default_factory=dict)
    answers: dict[str, Execution] = field(default_factory=dict)
    takes_at_once: bool = False
    """Whether what is approved is taken with its hold."""

    def perform(self, attempt: Attempt, mood: Mood) -> Execution:
        """Carry an order out, unless that was done before."""
        if attempt.idempotency_key not in self.answers:
            self.answers[attempt.idempotency_key] = self._answer(attempt, mood)
        return self.answers[attempt.idempotency_key]

    def find(self, attempt: Attempt) -> Execution:
        """What became of an order; UNKNOWN where none was seen."""
        return self.answers.get(attempt.idempotency_key, Execution(Outcome.UNKNOWN))

    def decide(self, attempt: Attempt, *, approves: bool) -> None:
        """End what waits for its customer, or was only taken on."""
        standing = self.find(attempt)
        if standing.outcome in (Outcome.REQUIRES_ACTION, Outcome.PENDING):
            del self.answers[attempt.idempotency_key]
            is_gone = attempt.operation is Operation.AUTHORIZE and standing.reference in self.holds
            mood = Mood.APPROVE if approves and not is_gone else Mood.DECLINE
            self.answers[attempt.idempotency_key] = self._answer(attempt, mood)

    @property
    def open_holds(self) -> int:
        return sum(hold.amount for hold in self.holds.values() if hold.is_open)

    @property
    def captured(self) -> int:
        return sum(hold.captured for hold in self.holds.values())

    @property
    def refunded(self) -> int:
        return sum(hold.refunded for hold in self.holds.values())

    def _answer(self, attempt: Attempt, mood: Mood) -> Execution:
        reference = f"pi_{attempt.id[4:]}"
        match attempt.operation, mood:
            case Operation.AUTHORIZE, Mood.CHALLENGE:
                return Execution(Outcome.REQUIRES_ACTION, reference=reference, redirect=REDIRECT)
            case Operation.AUTHORIZE, Mood.APPROVE | Mood.TAKE_ON:
                amount = attempt.amount.amount_minor
                taken = amount if self.takes_at_once else 0
                self.holds[reference] = Hold(amount, captured=taken, is_open=not taken)
                captured = attempt.amount if self.takes_at_once else None
                return Execution(Outcome.SUCCEEDED, reference=reference, captured=captured)
            case Operation.REFUND, Mood.TAKE_ON:
                return Execution(Outcome.PENDING, reference=f"re_{attempt.id[4:]}")
            case _, Mood.DECLINE:
                return Execution(Outcome.FAILED, error_code=ErrorCode.DECLINED)
        return self._changed(attempt)

    def _changed(self, attempt: Attempt) -> Execution:
        """A capture, a void or a refund of a hold, as far as the hold allows it."""
        refused = Execution(
            Outcome.FAILED, error_code=ErrorCode.PROCESSING_ERROR, decline_code="not_held"
        )
        assert attempt.hold is not None
        hold = self.holds.get(attempt.hold)
        amount = attempt.amount.amount_minor
        match attempt.operation:
            case Operation.VOID if hold is None:
                # What waited for its customer is withdrawn: it can be approved no more.
                self.holds[attempt.hold] = Hold(0, is_open=False)
            case Operation.VOID if hold is not None and hold.is_open:
                hold.is_open = False
            case Operation.VOID:
                taken = hold.captured if hold else 0
                captured = Money(taken, attempt.amount.currency) if taken else None
                return replace(refused, captured=captured)
            case Operation.CAPTURE if hold is not None and amount == hold.captured:
                # It was taken with its hold.
                pass
            case Operation.CAPTURE if hold is not None and hold.is_open and amount <= hold.amount:
                hold.captured, hold.is_open = amount, False
            case Operation.REFUND if hold is not None and amount <= hold.captured - hold.refunded:
                hold.refunded += amount
            case _:
                return refused
        return Execution(Outcome.SUCCEEDED, reference=f"x_{attempt.id[4:]}")
