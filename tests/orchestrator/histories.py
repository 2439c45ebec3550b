"""A payment beside a bank that remembers what it did, and what holds of the two at any time."""

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from services.kernel.context import CaptureMethod, SplitPolicy
from services.kernel.errors import FailedPrecondition, InvalidArgument
from services.kernel.ids import StepId
from services.kernel.money import Money
from services.orchestrator.domain.attempt import Attempt, Execution
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.posting import Posting, PostingKind
from services.orchestrator.domain.record import Parts
from services.orchestrator.domain.refund import RefundPart
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState, RefundState
from services.orchestrator.translate.calls import order_from_request
from tests.orchestrator.bank import Bank, Mood
from tests.orchestrator.orders import execution
from tests.orchestrator.test_payment import NOW
from tests.plan_builder.orders import APPLE_PAY, CARD, money, part

_SUCCEEDED = AttemptState.SUCCEEDED


class PaymentAtItsBank(RuleBasedStateMachine):
    """One payment and its bank; what may happen to them is left to say."""

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
