"""Whatever orders, answers, repeats, losses and crashes follow one another, the money is right.

A payment is led through random histories beside a bank that remembers what it really did. After
each step the books of the payment hold; and once every question is answered, they say what the bank
says.
"""

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from services.kernel.ids import RequestId
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Evidence, Execution
from services.orchestrator.domain.state import AttemptState, Operation
from tests.orchestrator.bank import Mood
from tests.orchestrator.histories import PaymentAtItsBank
from tests.plan_builder.orders import money

_MOODS = st.sampled_from(Mood)
_AMOUNTS = st.one_of(st.none(), st.integers(1, 12_000))
_UNKNOWN = Execution(Outcome.UNKNOWN)
OUT_OF_REACH = (ErrorCode.NETWORK_FAILURE, ErrorCode.TIMEOUT, ErrorCode.RATE_LIMITED)


class Histories(PaymentAtItsBank):
    """Whatever may happen to a payment, in any order."""

    @precondition(lambda self: self.payment.to_send)
    @rule(number=st.integers(0, 9), mood=_MOODS, is_told=st.booleans(), fails_over=st.booleans())
    def send(self, number: int, mood: Mood, is_told: bool, fails_over: bool) -> None:
        """An attempt is sent; when the answer is lost, so may be the process that asked."""
        attempt = self.pick(number, self.payment.to_send)
        answer = self.bank.perform(attempt, mood)
        if fails_over and answer.outcome is Outcome.FAILED:
            answer = Execution(answer.outcome, error_code=answer.error_code, failover_to="backup")
        if is_told:
            self.settle(attempt, answer)

    @precondition(lambda self: self.payment.to_send)
    @rule(count=st.integers(1, 4))
    def go_along(self, count: int) -> None:
        """Nothing goes wrong for a while."""
        for attempt in self.payment.to_send[:count]:
            self.settle(attempt, self.bank.perform(attempt, Mood.APPROVE))

    @precondition(lambda self: self.payment.to_send)
    @rule(number=st.integers(0, 9), mood=_MOODS, arrives=st.booleans())
    def lose_the_answer(self, number: int, mood: Mood, arrives: bool) -> None:
        attempt = self.pick(number, self.payment.to_send)
        if arrives:
            self.bank.perform(attempt, mood)
        self.settle(attempt, _UNKNOWN)

    @precondition(lambda self: self.payment.to_send)
    @rule(number=st.integers(0, 9), code=st.sampled_from([None, *OUT_OF_REACH]))
    def not_get_through(self, number: int, code: ErrorCode | None) -> None:
        """The processor is out of reach: what was to be sent was not."""
        attempt = self.pick(number, self.payment.to_send)
        self.settle(attempt, Execution(Outcome.FAILED, error_code=code, is_retryable=bool(code)))

    @precondition(lambda self: self.unsettled)
    @rule(number=st.integers(0, 9))
    def look_up(self, number: int) -> None:
        attempt = self.pick(number, self.unsettled)
        found = self.bank.find(attempt)
        if attempt.state is AttemptState.OPEN and found.outcome is Outcome.UNKNOWN:
            return
        self.settle(attempt, found)

    @rule(number=st.integers(0, 30), execution=st.sampled_from(["again", "other"]))
    def tell_again(self, number: int, execution: str) -> None:
        """What is settled is told once more."""
        settled = tuple(each for each in self.payment.attempts if each.is_settled)
        if settled:
            attempt = self.pick(number, settled)
            self.settle(attempt, self.bank.find(attempt) if execution == "again" else _UNKNOWN)

    @precondition(lambda self: self.unsettled)
    @rule(number=st.integers(0, 9), approves=st.booleans())
    def the_bank_decides(self, number: int, approves: bool) -> None:
        self.bank.decide(self.pick(number, self.unsettled), approves=approves)

    @precondition(lambda self: self.unsettled)
    @rule(number=st.integers(0, 9))
    def an_operator_looks(self, number: int) -> None:
        attempt = self.pick(number, self.unsettled)
        found = self.bank.find(attempt)
        if found.outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
            evidence = Evidence(found.outcome, found.reference, "dashboard", "maria")
            self.order(lambda: self.payment.resolve(attempt.id, evidence, self.now))

    @precondition(lambda self: self.unsettled)
    @rule(number=st.integers(0, 9))
    def an_operator_errs(self, number: int) -> None:
        """What is said to have failed has not, or will not."""
        attempt = self.pick(number, self.unsettled)
        if attempt.operation in (Operation.AUTHORIZE, Operation.CAPTURE):
            evidence = Evidence(Outcome.FAILED, None, "hearsay", "otto")
            self.order(lambda: self.payment.resolve(attempt.id, evidence, self.now))

    @rule(amount=_AMOUNTS)
    def capture(self, amount: int | None) -> None:
        wanted = None if amount is None else money(amount)
        self.order(lambda: self.payment.capture(wanted, self.now, f"request:{RequestId.new()}"))

    @rule()
    def void(self) -> None:
        self.order(lambda: self.payment.void(self.now, f"request:{RequestId.new()}"))

    @precondition(lambda self: self.payment.total("captured").is_positive)
    @rule(amount=_AMOUNTS)
    def refund_what_was_taken(self, amount: int | None) -> None:
        wanted = None if amount is None else money(1 + amount // 3)
        self.order(lambda: self.payment.refund(wanted, "returned", "key", self.now))

    @rule(amount=_AMOUNTS)
    def refund(self, amount: int | None) -> None:
        wanted = None if amount is None else money(amount)
        self.order(lambda: self.payment.refund(wanted, "returned", "key", self.now))

    @rule(hours=st.sampled_from([0, 2]))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours, seconds=1)


Histories.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_histories = Histories.TestCase
