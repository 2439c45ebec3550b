"""Getting hold of the amount: step by step, what one fails to hold moved to those that may more."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.kernel.context import CaptureMethod, SplitPolicy
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain import events
from services.orchestrator.domain.attempt import Attempt, Execution, Redirect, Step
from services.orchestrator.domain.state import AttemptState, Operation, PaymentState, StepState
from services.orchestrator.domain.taking import Taking

ACTION_WINDOW: Final = timedelta(hours=1)


class Authorizing(Taking):
    """The part of a payment that holds its amount, and waits for its customer meanwhile."""

    def _authorize_next(self, now: datetime) -> None:
        """Open the next step's first attempt, or decide what the holds amount to."""
        for step in self.steps:
            if step.state is not StepState.PENDING:
                continue
            amount = self._due_of(step)
            if not self._is_of_use(amount):
                self._put_step(replace(step, state=StepState.SKIPPED))
                continue
            first = self._planned(step.id).candidates[0].processor_id
            begun = self._put_step(replace(step, amount=amount, state=StepState.PROCESSING))
            self._ask_for(begun, first, amount, now)
            return
        self._decide_holds(now)

    def _ask_for(self, step: Step, processor_id: str, amount: Money, now: datetime) -> None:
        """Open an attempt to hold an amount, or to take it with its hold."""
        assert self.plan is not None
        at_once = self.plan.takes_at_once
        self._open(step, Operation.AUTHORIZE, processor_id, amount, now, capture_at_once=at_once)

    def _due_of(self, step: Step) -> Money:
        """What a step is to hold: its own share, and what earlier ones left, up to its maximum."""
        assert self.plan is not None
        earlier = [each for each in self.steps if each.index < step.index]
        currency = self.amount.currency
        planned = Money.total((self.plan.steps[each.index].amount for each in earlier), currency)
        held = Money.total((each.held for each in earlier), currency)
        wanted = self.plan.steps[step.index].amount + planned - held
        return min(wanted, self.plan.steps[step.index].max_amount)

    def _is_of_use(self, amount: Money) -> bool:
        """Whether holding it helps: nothing does once a whole that is wanted cannot be reached."""
        assert self.plan is not None
        if self.standing.withdrawn or not amount.is_positive:
            return False
        if self.plan.split_policy is SplitPolicy.PARTIAL:
            return True
        pending = [each for each in self.steps if each.state is StepState.PENDING]
        reach = Money.total(
            (self.plan.steps[each.index].max_amount for each in pending), self.amount.currency
        )
        return self.total("held") + reach >= self.amount

    def _decide_holds(self, now: datetime) -> None:
        """Every step has been tried: the payment is authorized, or fails and lets go."""
        assert self.plan is not None
        held = self.total("held")
        is_partial = self.plan.split_policy is SplitPolicy.PARTIAL
        is_enough = held == self.amount or (is_partial and held.is_positive)
        if is_enough and not self.standing.withdrawn:
            if held == self.amount:
                # Others have made up for whatever failed.
                self._stand(now, final_error=None)
            self._move(PaymentState.AUTHORIZED, self._cause, now)
            self.record(events.PaymentAuthorized(occurred_at=now, amount=held))
            if self.plan.capture_method is CaptureMethod.AUTOMATIC:
                self._want(None, now)
            else:
                self._go_on(now)
            return
        error = self.standing.final_error
        assert error is not None, "a step that holds nothing has failed"
        self._move(PaymentState.FAILED, self._cause, now)
        self.record(events.PaymentFailed(occurred_at=now, error=error))
        self._let_go(now)

    def _authorized(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        step = self._put_step(
            replace(
                self._steps[attempt.step_id],
                state=StepState.AUTHORIZED,
                authorized=attempt.amount,
                processor_id=attempt.processor_id,
                processor_reference=attempt.reference,
                error_code=None,
                is_retryable=False,
                latency_ms=execution.latency_ms,
            )
        )
        self.record(
            events.StepSucceeded(
                occurred_at=now,
                step_index=step.index,
                processor_id=attempt.processor_id,
                latency_ms=execution.latency_ms,
                amount=attempt.amount,
            )
        )
        if attempt.capture_at_once and execution.captured == attempt.amount:
            self._notes.taken_with_hold = attempt
        self._authorize_next(now)

    def _declined(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        step = self._note_failure(attempt, execution, now)
        another = execution.failover_to
        has_time = self._time_left(attempt, now) > timedelta(0)
        if another in self._untried(step.id) and has_time:
            step = self._put_step(replace(step, state=StepState.PROCESSING))
            self._ask_for(step, another, step.amount, now)
            return
        self._give_up(step, execution, now)

    def _give_up(self, step: Step, execution: Execution, now: datetime) -> None:
        """A step has failed for good; those after it may make up for it."""
        step = self._put_step(replace(step, state=StepState.FAILED))
        self._fail_with(step, execution, now)
        self._authorize_next(now)

    def _wait_for_customer(self, attempt: Attempt, redirect: Redirect, now: datetime) -> None:
        step = self._steps[attempt.step_id]
        self._put_step(replace(step, state=StepState.REQUIRES_ACTION))
        expires_at = now + ACTION_WINDOW
        self._put_attempt(
            replace(attempt, state=AttemptState.REQUIRES_ACTION, look_up_at=expires_at)
        )
        self._stand(now, redirect=redirect, action_expires_at=expires_at)
        self.record(
            events.PaymentActionRequired(occurred_at=now, redirect=redirect, expires_at=expires_at)
        )

    def _still_waits(self, attempt: Attempt, now: datetime) -> None:
        """The customer has not acted yet, and at some time no longer may."""
        expires_at = self.standing.action_expires_at
        assert expires_at is not None
        if now >= expires_at:
            self._cancel_action(attempt, now)
        else:
            self._put_attempt(replace(attempt, look_up_at=expires_at))

    def _cancel_action(self, attempt: Attempt, now: datetime) -> None:
        """Withdraw what waits for the customer; the step has failed once that is done."""
        self._put_attempt(
            replace(attempt, state=AttemptState.FAILED, look_up_at=None, settled_at=now)
        )
        self._stand(now, redirect=None, action_expires_at=None)
        step = self._note_failure(attempt, _UNFINISHED, now)
        if attempt.reference is None:
            self._give_up(step, _UNFINISHED, now)
            return
        step = self._put_step(replace(step, state=StepState.PROCESSING))
        self._open(
            step,
            Operation.VOID,
            attempt.processor_id,
            attempt.amount,
            now,
            hold=attempt.reference,
        )

    def _withdrawn(self, attempt: Attempt, now: datetime) -> None:
        """What waited for the customer is gone."""
        self._give_up(self._steps[attempt.step_id], _UNFINISHED, now)


_UNFINISHED: Final = Execution(
    Outcome.FAILED,
    error_code=ErrorCode.AUTHENTICATION_REQUIRED,
    user_message=ErrorCode.AUTHENTICATION_REQUIRED.user_message,
)
