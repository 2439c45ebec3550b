"""What a payment is made of, and what of it was changed since it was last saved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from services.kernel.context import CoreRequestContext
from services.kernel.events import Aggregate, SequencedEvent
from services.kernel.ids import AttemptId, MerchantId, PaymentId, PostingId, StepId
from services.kernel.money import Money
from services.orchestrator.domain.attempt import Attempt, Redirect, Step
from services.orchestrator.domain.events import FinalError
from services.orchestrator.domain.plan import Plan, PlanStep
from services.orchestrator.domain.posting import Posting, Refusal, state_of_all
from services.orchestrator.domain.state import (
    AttemptState,
    Operation,
    PaymentState,
    PostingState,
    check_move,
)

_AMOUNTS: Final = ("held", "captured", "refunded", "disputed", "excess", "platform_fee")


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state and what made it."""

    before: PaymentState | None
    after: PaymentState
    cause: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a payment changes, its steps and attempts apart."""

    state: PaymentState
    created_at: datetime
    updated_at: datetime
    final_error: FinalError | None = None
    redirect: Redirect | None = None
    action_expires_at: datetime | None = None
    in_doubt_since: datetime | None = None
    needs_reconciliation: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What was done to a payment since it stood as `expected_version`; zero is a new one's."""

    expected_version: int
    transitions: tuple[Transition, ...]
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    postings: tuple[Posting, ...]
    rejected: Mapping[PostingId, Refusal]
    events: tuple[SequencedEvent, ...]


class PaymentRecord(Aggregate):
    """The parts of a payment, and the notes of what was done to them."""

    def __init__(
        self,
        payment_id: PaymentId,
        request: CoreRequestContext,
        standing: Standing,
        *,
        plan: Plan | None = None,
        steps: Sequence[Step] = (),
        attempts: Sequence[Attempt] = (),
        posting_states: Sequence[PostingState] = (),
        version: int = 0,
    ) -> None:
        super().__init__(version)
        self.id = payment_id
        self.request = request
        self.plan = plan
        self.standing = standing
        self._steps = {step.id: step for step in steps}
        self._attempts = {attempt.id: attempt for attempt in attempts}
        self._posting_states = list(posting_states)
        self._begin_changes()

    @property
    def merchant_id(self) -> MerchantId:
        return self.request.merchant_id

    @property
    def amount(self) -> Money:
        return self.request.amount

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps in the order of the plan."""
        return tuple(self._steps.values())

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Its attempts in the order in which they were committed."""
        return tuple(self._attempts.values())

    @property
    def open_attempt(self) -> Attempt | None:
        """What is to be carried out next; None when the payment is decided or waits."""
        return next((each for each in self.attempts if each.state is AttemptState.OPEN), None)

    @property
    def posting_state(self) -> PostingState:
        return state_of_all(self._posting_states)

    @property
    def total_processed(self) -> Money:
        """What its steps hold or have taken."""
        return self._sum(lambda step: step.processed)

    def total(self, amount: str) -> Money:
        """One of the amounts of a step, over all of them."""
        assert amount in _AMOUNTS
        return self._sum(lambda step: getattr(step, amount))

    @property
    def has_changes(self) -> bool:
        """Whether anything was done to it since it was last saved."""
        return self.version != self._saved_version

    def collect_changes(self) -> Changes:
        """Hand over what was done since the last time, to be saved as one."""
        changes = Changes(
            expected_version=self._saved_version,
            transitions=tuple(self._transitions),
            steps=tuple(self._steps[step_id] for step_id in self._changed_steps),
            attempts=tuple(self._attempts[attempt_id] for attempt_id in self._changed_attempts),
            postings=tuple(self._postings),
            rejected=MappingProxyType(dict(self._rejected)),
            events=self.collect_events(),
        )
        # The version is what tells two who change the same payment apart.
        assert changes.events, "every change is told of"
        self._begin_changes()
        return changes

    def _begin_changes(self) -> None:
        self._saved_version = self.version
        self._transitions: list[Transition] = []
        self._changed_steps: dict[StepId, None] = {}
        self._changed_attempts: dict[AttemptId, None] = {}
        self._postings: list[Posting] = []
        self._rejected: dict[PostingId, Refusal] = {}

    def _move(self, after: PaymentState, cause: str, now: datetime) -> None:
        before = self.standing.state
        check_move(before, after)
        self._transitions.append(Transition(before, after, cause, now))
        self._stand(now, state=after)

    def _stand(self, now: datetime, **changed: Any) -> None:
        self.standing = replace(self.standing, updated_at=now, **changed)

    def _put_step(self, step: Step) -> Step:
        self._steps[step.id] = step
        self._changed_steps[step.id] = None
        return step

    def _put_attempt(self, attempt: Attempt) -> Attempt:
        self._attempts[attempt.id] = attempt
        self._changed_attempts[attempt.id] = None
        return attempt

    def _add_posting(self, posting: Posting) -> None:
        self._postings.append(posting)
        self._posting_states.append(PostingState.PENDING)

    def _sum(self, amount_of: Callable[[Step], Money]) -> Money:
        return Money.total(map(amount_of, self.steps), self.amount.currency)

    def _open(self, step: Step, operation: Operation, processor_id: str, now: datetime) -> None:
        """Make an attempt that is to be committed before anyone is called."""
        attempt_id = AttemptId.new()
        self._put_attempt(
            Attempt(
                id=attempt_id,
                step_id=step.id,
                number=len(self._attempts) + 1,
                operation=operation,
                processor_id=processor_id,
                amount=step.amount if operation is Operation.AUTHORIZE else step.authorized,
                hold=None if operation is Operation.AUTHORIZE else step.processor_reference,
                idempotency_key=attempt_id,
                created_at=now,
            )
        )

    def _planned(self, step_id: StepId) -> PlanStep:
        assert self.plan is not None
        return self.plan.steps[self._steps[step_id].index]

    def _untried(self, step_id: StepId) -> tuple[str, ...]:
        """The candidates of a step that were not asked yet, in the order of the plan."""
        asked = {each.processor_id for each in self.attempts if each.step_id == step_id}
        candidates = self._planned(step_id).candidates
        return tuple(each.processor_id for each in candidates if each.processor_id not in asked)

    def _time_left(self, attempt: Attempt, now: datetime) -> timedelta:
        """What is left of the time of its step since the first attempt of that kind."""
        began_at = min(
            each.created_at
            for each in self.attempts
            if each.step_id == attempt.step_id and each.operation is attempt.operation
        )
        return began_at + self._planned(attempt.step_id).timeout - now
