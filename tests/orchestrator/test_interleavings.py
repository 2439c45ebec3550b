"""Whatever orders, answers, repeats, losses and crashes follow one another, the money is right.

A payment is led through random histories beside a bank that remembers what it really did. After
each step the books of the payment hold; and once every question is answered, they say what the bank
says.
"""

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from services.kernel.context import CaptureMethod, SplitPolicy
from services.kernel.errors import FailedPrecondition, InvalidArgument
from services.kernel.ids import RequestId, StepId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Attempt, Evidence, Execution
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.posting import Posting, PostingKind
from services.orchestrator.domain.record import Parts
from services.orchestrator.domain.refund import RefundPart
from services.orchestrator.domain.state import (
    AttemptState,
    Operation,
    PaymentState,
    RefundState,
)
from services.orchestrator.translate.calls import order_from_request
from tests.orchestrator.bank import Bank, Mood
from tests.orchestrator.orders import execution
from tests.orchestrator.test_payment import NOW
from tests.plan_builder.orders import APPLE_PAY, CARD, money, part

_MOODS = st.sampled_from(Mood)
_AMOUNTS = st.one_of(st.none(), st.integers(1, 12_000))
_SUCCEEDED = AttemptState.SUCCEEDED
_UNKNOWN = Execution(Outcome.UNKNOWN)
OUT_OF_REACH = (ErrorCode.NETWORK_FAILURE, ErrorCode.TIMEOUT, ErrorCode.RATE_LIMITED)


class Histories(RuleBasedStateMachine):
    """One payment and its bank."""

    @initialize(
        is_split=st.booleans(),
        policy=st.sampled_from(SplitPolicy),
        capture=st.sampled_from(CaptureMethod),
        takes_at_once=st.booleans(),
    )
    def begin(
        self, is_split: bool, policy: SplitPolicy, capture: CaptureMethod, takes_at_once: bool
    ) -> None:
        steps: dict[str, Any] = {"steps": (part(APPLE_PAY, 6_000), part(CARD))} if is_split else {}
        order = execution(
            processors=("simulated", "backup"),
            split_policy=policy,
            capture_method=capture,
            **steps,
        )
        for step in order.plan.steps:
            step.instrument.token = "pm_card_visa"  # noqa: S105 -- a test token's public name
        request, plan = order_from_request(order)
        self.now = NOW
        self.bank = Bank(takes_at_once=takes_at_once and plan.takes_at_once)
        self.postings: list[Posting] = []
        self.payment = Payment.create(request, self.now)
        self.payment.confirm(plan, self.now)
        self.save()

    def save(self) -> None:
        """Commit, and go on with what a process would read again."""
        payment = self.payment
        changes = payment.collect_changes()
        self.postings += changes.postings
        self.payment = Payment(
            payment.id,
            payment.request,
            payment.standing,
            Parts(
                plan=payment.plan,
                steps=payment.steps,
                attempts=payment.attempts,
                refunds=payment.refunds,
                disputes=payment.disputes,
            ),
            version=payment.version,
        )

    def settle(self, attempt: Attempt, execution: Execution) -> None:
        self.payment.settle(attempt.id, execution, self.now)
        self.save()

    def pick(self, number: int, attempts: tuple[Attempt, ...]) -> Attempt:
        return attempts[number % len(attempts)]

    @property
    def unsettled(self) -> tuple[Attempt, ...]:
        return tuple(each for each in self.payment.attempts if not each.is_settled)

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

    def order(self, give: Any) -> None:
        """Give an order; one that is refused changes nothing."""
        before = self.payment.version, self.payment.steps, self.payment.attempts
        try:
            give()
        except (FailedPrecondition, InvalidArgument):
            assert (self.payment.version, self.payment.steps, self.payment.attempts) == before
            assert not self.payment.has_changes
            return
        self.save()

    @invariant()
    def the_books_hold(self) -> None:
        payment = self.payment
        for step in payment.steps:
            given = step.refunded + step.reserved + step.disputed
            assert given <= step.captured + step.excess
            assert step.fee_returned <= step.platform_fee
            assert step.captured <= step.authorized
            pending = Money.total(
                (each.amount for each in self.parts_of(step.id, RefundState.PENDING)),
                payment.amount.currency,
            )
            assert step.reserved == pending
        wanted = payment.standing.capture_wanted
        assert payment.total("captured") <= (wanted or money(0))
        keys = Counter(posting.idempotency_key for posting in self.postings)
        assert max(keys.values(), default=1) == 1
        for posting in self.postings:
            assert sum(entry.amount.amount_minor for entry in posting.entries) == 0
        assert self.booked(PostingKind.CAPTURE) == payment.total("captured").amount_minor
        assert self.booked(PostingKind.REFUND) == payment.total("refunded").amount_minor

    def parts_of(self, step_id: StepId, state: RefundState) -> list[RefundPart]:
        parts = (part for refund in self.payment.refunds for part in refund.parts)
        return [each for each in parts if each.step_id == step_id and each.state is state]

    def booked(self, kind: PostingKind) -> int:
        return sum(each.amount.amount_minor for each in self.postings if each.kind is kind)

    @invariant()
    def a_step_has_one_attempt_under_way(self) -> None:
        busy = Counter(
            each.step_id
            for each in self.unsettled
            if each.operation is not Operation.REFUND and not each.late
        )
        assert max(busy.values(), default=0) <= 1

    @invariant()
    def nothing_goes_out_that_did_not_come_in(self) -> None:
        for hold in self.bank.holds.values():
            assert hold.refunded <= hold.captured <= hold.amount

    @invariant()
    def someone_goes_on_with_what_is_under_way(self) -> None:
        if self.unsettled:
            assert self.payment.due_at(driven=True) is not None

    def teardown(self) -> None:
        """Answer every question truly; then the payment says what the bank says."""
        if not hasattr(self, "payment"):
            return
        for _ in range(100):
            for attempt in self.unsettled[:1]:
                self.bank.decide(attempt, approves=True)
                if attempt.state in (AttemptState.OPEN, AttemptState.IN_DOUBT):
                    self.bank.perform(attempt, Mood.APPROVE)
                self.settle(attempt, self.bank.find(attempt))
            for attempt in self.payment.attempts:
                if attempt.state is AttemptState.FAILED:
                    self.settle(attempt, self.bank.find(attempt))
        payment = self.payment
        assert not self.unsettled
        assert not payment.standing.in_doubt_since
        late = self.booked(PostingKind.LATE_SUCCESS)
        returned = self.booked(PostingKind.LATE_SUCCESS_REVERSAL)
        lost = [each for each in payment.attempts if each.late and each.state is not _SUCCEEDED]
        assert late == returned or lost
        assert self.bank.captured == payment.total("captured").amount_minor + late
        assert self.bank.refunded == payment.total("refunded").amount_minor + returned
        if (
            payment.state is not PaymentState.AUTHORIZED
            and not payment.standing.needs_reconciliation
        ):
            assert self.bank.open_holds == 0
        if payment.total("captured").is_positive and payment.total("refundable").is_zero:
            assert payment.state is PaymentState.REFUNDED
            assert payment.total("fee_kept").is_zero


Histories.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_histories = Histories.TestCase
