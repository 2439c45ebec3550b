"""What became of attempts: answers, lookups and operators all tell it in the same way."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.kernel.errors import FailedPrecondition, FieldViolation, InvalidArgument, Reason
from services.kernel.ids import AttemptId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain import events
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.attempt import Attempt, Evidence, Execution
from services.orchestrator.domain.authorizing import Authorizing
from services.orchestrator.domain.state import AttemptState, Operation, StepState

# Where what came of an attempt became known by asking its processor.
_ASKED: Final = frozenset({"answer", "lookup"})


class Settling(Authorizing):
    """The part of a payment that learns what processors did."""

    def settle(
        self, attempt_id: AttemptId, execution: Execution, now: datetime, source: str = "answer"
    ) -> Disposition:
        """Record what came of an attempt, and decide what is next; a known fact changes nothing."""
        attempt = self._attempts[attempt_id]
        if source in _ASKED:
            self._cause = f"attempt:{attempt_id}"
        if attempt.is_settled:
            return self._heard_again(attempt, execution, now)
        told = replace(
            attempt, execution=execution, reference=execution.reference or attempt.reference
        )
        match execution.outcome:
            # A hold that nobody can name could never be taken or given back.
            case Outcome.SUCCEEDED if attempt.hold or told.reference:
                self._end(told, AttemptState.SUCCEEDED, now, source)
                self._succeeded(told, execution, now)
            case Outcome.FAILED if source in _ASKED and self._must_come_about(told, execution):
                self._doubt(told, now)
            case Outcome.FAILED:
                self._end(told, AttemptState.FAILED, now, source)
                self._failed(told, execution, now)
            case Outcome.REQUIRES_ACTION if execution.redirect is not None:
                self._requires_action(told, execution, now)
            case Outcome.PENDING:
                self._wait_for_processor(told, now)
            case _:
                self._doubt(told, now)
        return Disposition.APPLIED

    def _must_come_about(self, attempt: Attempt, execution: Execution) -> bool:
        """Whether to ask on, since the processor was out of reach and nobody would order it anew.

        Ending it would leave a hold to stand for good, let go of one that can be taken, or keep
        what is not ours. A merchant's own refund fails instead: its reserve is free for another.
        """
        if execution.is_refusal or attempt.operation is Operation.AUTHORIZE:
            return False
        if attempt.operation is not Operation.REFUND or attempt.late:
            return True
        return not self._refund_of(attempt)[0].idempotency_key

    def resolve(self, attempt_id: AttemptId | None, evidence: Evidence, now: datetime) -> None:
        """Settle an attempt in doubt by what an operator has found out."""
        attempt = self._attempt_in_doubt(attempt_id)
        if evidence.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED):
            raise _no_evidence("outcome", "must say that it succeeded or that it failed")
        if not evidence.source.strip() or not evidence.operator.strip():
            raise _no_evidence("source", "must say where it was seen, and by whom")
        reference = evidence.reference or attempt.reference
        if evidence.outcome is Outcome.SUCCEEDED and not (reference or attempt.hold):
            raise _no_evidence("processor_reference", "is needed for what the processor did")
        self._put_attempt(replace(attempt, evidence=evidence))
        self._cause = f"operator:{evidence.operator}"
        failed = evidence.outcome is Outcome.FAILED
        code = ErrorCode.PROCESSING_ERROR if failed else None
        execution = Execution(evidence.outcome, reference=reference, error_code=code)
        self.settle(attempt.id, execution, now, "operator")

    def _attempt_in_doubt(self, attempt_id: AttemptId | None) -> Attempt:
        doubtful = [
            each
            for each in self.attempts
            if (each.state is AttemptState.IN_DOUBT and attempt_id in (None, each.id))
            # What a processor took on and never ended is settled by who names it.
            or (each.state is AttemptState.PENDING and each.id == attempt_id)
        ]
        if len(doubtful) == 1:
            return doubtful[0]
        several = "several attempts are in doubt: say which" if doubtful else "nothing is in doubt"
        raise FailedPrecondition(
            f"{several} of a payment in {self.state.name}",
            reason=Reason.PAYMENT_NOT_IN_DOUBT,
            details={
                "state": self.state.name,
                "in_doubt": ", ".join(each.id for each in doubtful),
            },
        )

    def _end(self, attempt: Attempt, state: AttemptState, now: datetime, source: str) -> None:
        was_in_doubt = attempt.state is AttemptState.IN_DOUBT
        self._put_attempt(replace(attempt, state=state, look_up_at=None, settled_at=now))
        if attempt.operation is Operation.AUTHORIZE:
            self._stand(now, redirect=None, action_expires_at=None)
        if not was_in_doubt:
            return
        if not any(each.state is AttemptState.IN_DOUBT for each in self.attempts):
            self._stand(now, in_doubt_since=None)
        outcome = Outcome.SUCCEEDED if state is AttemptState.SUCCEEDED else Outcome.FAILED
        self.record(
            events.PaymentDoubtSettled(
                occurred_at=now, attempt_id=attempt.id, outcome=outcome, source=source
            )
        )

    def _succeeded(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        match attempt.operation:
            case Operation.AUTHORIZE:
                self._authorized(attempt, execution, now)
            case Operation.CAPTURE:
                self._captured(attempt, execution.amount or attempt.amount, now)
            case Operation.VOID if not attempt.late:
                if self._is_of_a_hold(attempt):
                    self._released(attempt, now)
                else:
                    self._withdrawn(attempt, now)
            case Operation.REFUND:
                self._paid_out(attempt, now)

    def _failed(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        match attempt.operation:
            case Operation.AUTHORIZE:
                self._declined(attempt, execution, now)
            case Operation.CAPTURE:
                self._not_captured(attempt, execution, now)
            case Operation.VOID:
                self._not_voided(attempt, execution, now)
            case Operation.REFUND:
                self._not_paid_out(attempt, execution, now)

    def _not_voided(self, void: Attempt, execution: Execution, now: datetime) -> None:
        """What is wanted no more may still be held; if it was taken first, it is returned."""
        is_of_a_hold = self._is_of_a_hold(void)
        if not void.late and is_of_a_hold:
            self._not_released(void, now)
        self._stand(now, needs_reconciliation=True)
        self._return_instead(void, execution, now)
        if not void.late and not is_of_a_hold:
            self._withdrawn(void, now)

    def _return_instead(self, void: Attempt, execution: Execution, now: datetime) -> bool:
        """Return what a processor says was taken before it could be voided."""
        taken = execution.captured
        if taken is None or not taken.is_positive or void.hold is None:
            return False
        if self._is_returned(void.hold, taken=True):
            return False
        hold = self._hold_of(void)
        if hold.reference != void.hold:
            # The processor made it beside the hold: what is booked of it is a thing of its own.
            hold = self._record_done(hold, Operation.CAPTURE, void.hold, taken, now)
        return self._hand_back(hold, void.hold, taken, now)

    def _hand_back(self, attempt: Attempt, reference: str, amount: Money, now: datetime) -> bool:
        """Return what was taken after the payment had failed or gone on without it."""
        if not self._give_back(attempt, reference, amount, now, taken=True):
            return False
        step = self._steps[attempt.step_id]
        if step.processor_reference == reference and step.state is StepState.FAILED:
            self._put_step(replace(step, state=StepState.VOIDED))
        return True

    def _record_done(
        self, hold: Attempt, operation: Operation, reference: str, amount: Money, now: datetime
    ) -> Attempt:
        """Note what the processor did unasked, as an attempt that needs no sending."""
        step = self._steps[hold.step_id]
        attempt = self._open(step, operation, hold.processor_id, amount, now, hold=reference)
        done = replace(attempt, state=AttemptState.SUCCEEDED, reference=reference, settled_at=now)
        return self._put_attempt(done)

    def _hold_of(self, attempt: Attempt) -> Attempt:
        """The authorization that made the hold which an attempt is about."""
        there = [
            each
            for each in self.attempts
            if each.operation is Operation.AUTHORIZE
            and each.step_id == attempt.step_id
            and each.processor_id == attempt.processor_id
        ]
        # What a processor made beside a hold bears no attempt's name.
        return next((each for each in there if each.reference == attempt.hold), there[0])

    def _is_of_a_hold(self, void: Attempt) -> bool:
        """Whether a void releases what its step holds, and not what waited for the customer."""
        return self._steps[void.step_id].authorized.is_positive

    def _requires_action(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        assert execution.redirect is not None
        if attempt.operation is not Operation.AUTHORIZE:
            self._doubt(attempt, now)
        elif attempt.state is AttemptState.REQUIRES_ACTION:
            self._still_waits(attempt, now)
        else:
            self._no_longer_in_doubt(attempt, now)
            self._wait_for_customer(attempt, execution.redirect, now)

    def _wait_for_processor(self, attempt: Attempt, now: datetime) -> None:
        """The processor took the order and says later how it ended: an event, or a lookup."""
        self._no_longer_in_doubt(attempt, now)
        if attempt.operation is Operation.AUTHORIZE:
            # Its customer, if one had to act, has done so.
            self._stand(now, redirect=None, action_expires_at=None)
        look_up_at = _next_lookup(attempt, now)
        self._put_attempt(
            replace(
                attempt,
                state=AttemptState.PENDING,
                lookups=attempt.lookups + 1,
                look_up_at=look_up_at,
            )
        )
        if look_up_at is None:
            self._stand(now, needs_reconciliation=True)

    def _no_longer_in_doubt(self, attempt: Attempt, now: datetime) -> None:
        others = (each for each in self.attempts if each.id != attempt.id)
        if not any(each.state is AttemptState.IN_DOUBT for each in others):
            self._stand(now, in_doubt_since=None)

    def _doubt(self, attempt: Attempt, now: datetime) -> None:
        """It may have happened: nothing else is done about it before that is known."""
        if attempt.state is AttemptState.REQUIRES_ACTION:
            # Nothing was asked of the processor but how it stands, and that can be asked again.
            self._still_waits(attempt, now)
            return
        is_new = attempt.state is not AttemptState.IN_DOUBT
        look_up_at = _next_lookup(attempt, now)
        self._put_attempt(
            replace(
                attempt,
                state=AttemptState.IN_DOUBT,
                lookups=attempt.lookups + 1,
                look_up_at=look_up_at,
            )
        )
        if look_up_at is None:
            self._stand(now, needs_reconciliation=True)
        if not is_new:
            return
        if attempt.part_id is None and not attempt.late:
            self._put_step(replace(self._steps[attempt.step_id], state=StepState.IN_DOUBT))
        self._stand(now, in_doubt_since=self.standing.in_doubt_since or now)
        self.record(
            events.PaymentInDoubt(
                occurred_at=now,
                attempt_id=attempt.id,
                processor_id=attempt.processor_id,
                operation=attempt.operation,
                amount=attempt.amount,
            )
        )

    def _heard_again(self, attempt: Attempt, execution: Execution, now: datetime) -> Disposition:
        """A settled attempt is told of once more, or told to have ended otherwise."""
        if attempt.operation is Operation.VOID and self._return_instead(attempt, execution, now):
            return Disposition.APPLIED
        if execution.outcome is not Outcome.SUCCEEDED:
            is_same = attempt.state is AttemptState.FAILED and execution.outcome is Outcome.FAILED
            return Disposition.KNOWN if is_same else Disposition.STALE
        if attempt.state is AttemptState.SUCCEEDED:
            if execution.record:
                # A webhook was quicker: what was asked, and answered, is on record all the same.
                self._put_attempt(replace(attempt, execution=execution))
            return Disposition.KNOWN
        # A capture may have a name of its own; it is returned by that of its hold.
        reference = attempt.hold or execution.reference or attempt.reference
        match attempt.operation:
            case Operation.AUTHORIZE if reference is not None:
                amount = execution.captured or attempt.amount
                taken = execution.captured is not None
                given = self._give_back(attempt, reference, amount, now, taken=taken)
            case Operation.CAPTURE if reference is not None:
                given = self._give_back(attempt, reference, attempt.amount, now, taken=True)
            case Operation.REFUND if execution.reference is not None:
                given = self._paid_after_all(attempt, execution.reference, now)
            case _:
                given = False
        return Disposition.APPLIED if given else Disposition.STALE


def _next_lookup(attempt: Attempt, now: datetime) -> datetime | None:
    pause = attempt.next_lookup_pause
    return None if pause is None else now + pause


def _no_evidence(name: str, message: str) -> InvalidArgument:
    return InvalidArgument(
        "an attempt is settled by evidence alone",
        reason=Reason.EVIDENCE_REQUIRED,
        violations=[FieldViolation(f"evidence.{name}", "evidence.required", message)],
    )
