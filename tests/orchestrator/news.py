"""Short ways to write down what processors tell unasked, and payments that hear it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from services.kernel.context import CaptureMethod, CoreRequestContext
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.applied import Disposition, FactKind, Heard, ProcessorEvent
from services.orchestrator.domain.attempt import Attempt, Execution
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.posting import Posting
from services.orchestrator.domain.state import Operation, PaymentState
from services.orchestrator.translate.plan import plan_from_message
from services.orchestrator.translate.request import request_from_message
from tests.orchestrator.orders import execution
from tests.plan_builder.orders import money

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOLD: Final = "pi_1"

_numbers = count(1)


def fact(kind: FactKind, amount_minor: int | None = None, **said: Any) -> ProcessorEvent:
    """An event about the hold `pi_1`, with an id of its own."""
    return ProcessorEvent(
        **{
            "id": f"evt_{next(_numbers)}",
            "processor_id": "simulated",
            "kind": kind,
            "native_type": str(kind),
            "occurred_at": NOW,
            "attempt_id": None,
            "reference": HOLD,
            "object_id": HOLD,
            "amount": None if amount_minor is None else money(amount_minor),
            "fee": None,
            "error_code": None,
            "native_reason": "",
            "webhook_event_id": None,
            **said,
        }
    )


def refund_fact(kind: FactKind, amount_minor: int, object_id: str = "re_1") -> ProcessorEvent:
    return fact(kind, amount_minor, object_id=object_id)


def dispute_fact(kind: FactKind, amount_minor: int = 5_000, **said: Any) -> ProcessorEvent:
    return fact(kind, amount_minor, **{"object_id": "dp_1", "native_reason": "fraudulent", **said})


def asked(**said: Any) -> tuple[CoreRequestContext, Plan]:
    """A request with its plan."""
    order = execution(**said)
    for step in order.plan.steps:
        step.instrument.token = "pm_card_visa"  # noqa: S105 -- a test token's public name
    return request_from_message(order.context), plan_from_message(order.plan)


class Story:
    """A payment, what it owes to the ledger, and what it has yet to make sense of."""

    def __init__(self, order: tuple[CoreRequestContext, Plan]) -> None:
        request, plan = order
        self.payment = Payment.create(request, NOW)
        self.payment.confirm(plan, NOW)
        self.postings: list[Posting] = []
        self.kept: list[ProcessorEvent] = []
        self.told: list[str] = []
        """The names of the events that the world was told of."""
        self.save()

    @property
    def first(self) -> Attempt:
        return self.payment.attempts[0]

    def attempt(self, operation: Operation) -> Attempt:
        """The latest attempt of its kind."""
        return [each for each in self.payment.attempts if each.operation is operation][-1]

    def answer(self, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        """What was sent is answered, and what follows from it is not yet."""
        for attempt in self.payment.to_send:
            self._settle(attempt, outcome, "answer")

    def take(self) -> None:
        """The authorization is answered, with the amount taken."""
        taken = Execution(Outcome.SUCCEEDED, HOLD, captured=self.first.amount)
        self.payment.settle(self.first.id, taken, NOW)
        self.save()

    def finish(self) -> None:
        """Everything is answered or looked up, until nothing is under way."""
        while under_way := [each for each in self.payment.attempts if not each.is_settled]:
            for attempt in under_way:
                self._settle(attempt, Outcome.SUCCEEDED, "lookup")
            self.offer()

    def hear(self, *events: ProcessorEvent) -> Heard:
        """Hear events as the webhook service brings them: what is unmatched is kept."""
        heard = Heard(Disposition.IGNORED, "")
        for event in events:
            heard = self._hear(event)
            self.offer()
        return heard

    def offer(self) -> None:
        """Bring what was kept once more."""
        kept, self.kept = self.kept, []
        for event in kept:
            self._hear(event)

    def save(self) -> None:
        changes = self.payment.collect_changes()
        self.postings += changes.postings
        self.told += [type(each.event).__name__ for each in changes.events]
        for step in self.payment.steps:
            claimed = step.refunded + step.reserved + step.disputed
            assert claimed <= step.captured + step.excess, "the database would refuse it"

    def _hear(self, event: ProcessorEvent) -> Heard:
        heard = self.payment.hear(event, NOW)
        assert self.payment.has_changes is (heard.disposition is not Disposition.UNMATCHED)
        if heard.disposition is Disposition.UNMATCHED:
            self.kept.append(event)
        else:
            self.save()
        return heard

    def _settle(self, attempt: Attempt, outcome: Outcome, source: str) -> None:
        is_authorization = attempt.operation is Operation.AUTHORIZE
        reference = HOLD if is_authorization else f"x_{attempt.number}"
        is_done = outcome is Outcome.SUCCEEDED
        code = ErrorCode.DECLINED if outcome is Outcome.FAILED else None
        said = Execution(outcome, reference if is_done else None, code)
        self.payment.settle(attempt.id, said, NOW, source)
        if self.payment.has_changes:
            self.save()


def state_of(story: Story) -> PaymentState:
    """Where the payment stands by now."""
    return story.payment.state


def booked(postings: Iterable[Posting]) -> dict[str, int]:
    """What the postings come to on each account."""
    sums: dict[str, int] = {}
    for posting in postings:
        assert Money.total((e.amount for e in posting.entries), posting.amount.currency).is_zero
        for entry in posting.entries:
            sums[entry.account] = sums.get(entry.account, 0) + entry.amount.amount_minor
    return {account: total for account, total in sums.items() if total}


def keys(postings: Iterable[Posting]) -> list[str]:
    """What was booked, by the first word of its key."""
    return sorted(posting.idempotency_key.partition(":")[0] for posting in postings)


def held(**said: Any) -> Story:
    """A payment whose amount is held, for the merchant to take."""
    story = Story(asked(capture_method=CaptureMethod.MANUAL, **said))
    story.answer()
    return story


def taken() -> Story:
    """A payment whose amount was held, and then taken."""
    story = Story(asked())
    story.answer()
    story.answer()
    assert state_of(story) is PaymentState.CAPTURED
    return story


def failed() -> Story:
    """A payment whose only attempt was looked up in vain until an operator said that it failed."""
    story = Story(asked())
    story.payment.settle(story.first.id, Execution(Outcome.UNKNOWN, reference=HOLD), NOW)
    story.payment.settle(
        story.first.id, Execution(Outcome.FAILED, error_code=ErrorCode.DECLINED), NOW, "operator"
    )
    story.save()
    assert state_of(story) is PaymentState.FAILED
    return story


def voided() -> Story:
    """A payment that its merchant has let go."""
    story = held()
    story.payment.void(NOW, "request:1")
    story.answer()
    assert state_of(story) is PaymentState.VOIDED
    return story


def dispositions(*heard: Heard) -> list[Disposition]:
    """What each event did, in a word."""
    return [each.disposition for each in heard]
