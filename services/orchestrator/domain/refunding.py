"""Giving back: refunds with their reserve, and successes that came too late to be kept."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.kernel.errors import FailedPrecondition, InvalidArgument, Reason
from services.kernel.ids import RefundId, RefundPartId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode
from services.orchestrator.domain import events
from services.orchestrator.domain.attempt import Attempt, Execution, Step
from services.orchestrator.domain.posting import (
    late_success_posting,
    late_success_reversal_posting,
    refund_posting,
)
from services.orchestrator.domain.record import PaymentRecord
from services.orchestrator.domain.refund import Refund, RefundPart
from services.orchestrator.domain.state import (
    AttemptState,
    Operation,
    PaymentState,
    RefundState,
    StepState,
)

_PAID_AFTER_ALL: Final = "paid out after it had been given up"
_TAKEN: Final = frozenset({PaymentState.CAPTURED, PaymentState.REFUNDED, PaymentState.DISPUTED})


class Refunding(PaymentRecord):
    """The part of a payment that gives money back."""

    _cause: str = ""
    """What makes the payment change just now, for its transitions."""

    def _ask_back(
        self, amount: Money | None, reason: str, idempotency_key: str, now: datetime
    ) -> Refund:
        """Reserve an amount, from the last step to the first, and open an attempt for each part."""
        amount = self._checked_refund(amount)
        refund_id, parts, left = RefundId.new(), list[RefundPart](), amount
        for step in reversed(self.steps):
            share = min(step.refundable, left)
            if share.is_positive:
                parts.append(self._reserve(step, share, now))
                left -= share
        assert left.is_zero, "the steps hold what was checked to be there"
        return self._put_refund(
            Refund(refund_id, amount, reason, idempotency_key, tuple(parts), now, now)
        )

    def _checked_refund(self, amount: Money | None) -> Money:
        if self.state not in _TAKEN:
            raise FailedPrecondition(
                f"a payment in {self.state.name} has nothing to return; only what was captured can"
                " be refunded",
                reason=Reason.NOT_CAPTURED,
                details={"state": self.state.name, "allowed": "CAPTURED or DISPUTED"},
            )
        left = self.total("refundable")
        if left.is_zero and self.total("reserved").is_zero and self.total("disputed").is_zero:
            raise FailedPrecondition(
                f"all of {self.total('captured')} was returned already",
                reason=Reason.ALREADY_REFUNDED,
                details={"state": self.state.name, "refundable": str(left)},
            )
        if amount is not None and (
            amount.currency != self.amount.currency or not amount.is_positive
        ):
            raise InvalidArgument(
                f"a refund is more than nothing, in {self.amount.currency}",
                reason=Reason.AMOUNT_INVALID,
            )
        if left.is_zero or (amount is not None and amount > left):
            raise FailedPrecondition(
                f"{left} can still be refunded: {self.total('captured')} was captured, and"
                f" {self.total('refunded')} returned, {self.total('reserved')} is being returned"
                f" and {self.total('disputed')} disputed",
                reason=Reason.REFUND_HEADROOM_EXCEEDED,
                details={"state": self.state.name, "refundable": str(left)},
            )
        return left if amount is None else amount

    def _reserve(self, step: Step, share: Money, now: datetime) -> RefundPart:
        assert step.processor_id is not None
        part = RefundPart(
            RefundPartId.new(), step.id, share, step.processor_id, Money.zero(share.currency)
        )
        step = self._put_step(replace(step, reserved=step.reserved + share))
        self._open(
            step,
            Operation.REFUND,
            part.processor_id,
            share,
            now,
            hold=step.processor_reference,
            part_id=part.id,
        )
        return part

    def _refund_of(self, attempt: Attempt) -> tuple[Refund, RefundPart]:
        """The refund that an attempt pays out, and which part of it."""
        return next(
            (refund, part)
            for refund in self.refunds
            for part in refund.parts
            if part.id == attempt.part_id
        )

    def _paid_out(self, attempt: Attempt, now: datetime) -> None:
        """A part of a refund, or what came late, has gone back to the customer."""
        if attempt.late:
            self._add_posting(late_success_reversal_posting(self.id, attempt, attempt.amount, now))
            return
        refund, part = self._refund_of(attempt)
        self._part_paid(refund, replace(part, processor_reference=attempt.reference), now)

    def _part_paid(self, refund: Refund, part: RefundPart, now: datetime) -> None:
        """A part that had reserved its amount was paid out."""
        step = self._steps[part.step_id]
        self._return(replace(step, reserved=step.reserved - part.amount), refund, part, now)

    def _return(self, step: Step, refund: Refund, part: RefundPart, now: datetime) -> None:
        """Note and book that a part was paid out, whoever asked for it."""
        refunded = step.refunded + part.amount
        # What went back beyond the captured amount takes no more of the fee with it.
        due = step.platform_fee.proportion(min(refunded, step.captured), step.captured)
        part = replace(part, state=RefundState.SUCCEEDED, fee_returned=due - step.fee_returned)
        self._put_step(
            replace(
                step,
                refunded=refunded,
                fee_returned=due,
                state=StepState.REFUNDED if refunded >= step.captured else step.state,
            )
        )
        self._add_posting(refund_posting(self.id, self.merchant_id, part, now))
        refund = self._put_refund(refund.with_part(part, now))
        total, captured = self.total("refunded"), self.total("captured")
        if total >= captured and self.state is PaymentState.CAPTURED:
            self._move(PaymentState.REFUNDED, self._cause, now)
        self.record(
            events.PaymentRefunded(
                occurred_at=now,
                refund_id=refund.id,
                amount=part.amount,
                fee_returned=part.fee_returned,
                total_refunded=total,
                is_full=total >= captured,
            )
        )

    def _paid_after_all(self, attempt: Attempt, reference: str, now: datetime) -> bool:
        """Record that a refund was paid out that had been given up; False where that is known.

        What it had reserved is free by then and may be on its way to the customer once more, so a
        person has to look.
        """
        if attempt.late:
            return self._given_back_after_all(attempt, reference, now)
        name = (attempt.processor_id, reference)
        parts = (part for refund in self.refunds for part in refund.parts)
        is_known = any((part.processor_id, part.processor_reference) == name for part in parts)
        if is_known or not is_given_up(attempt):
            return False
        self._stand(now, needs_reconciliation=True)
        amount, step = attempt.amount, self._steps[attempt.step_id]
        part = RefundPart(
            RefundPartId.new(), step.id, amount, attempt.processor_id, Money.zero(amount.currency)
        )
        part = replace(part, processor_reference=reference)
        refund = Refund(RefundId.new(), amount, _PAID_AFTER_ALL, "", (part,), now, now)
        self._return(step, self._put_refund(refund), part, now)
        return True

    def _given_back_after_all(self, attempt: Attempt, reference: str, now: datetime) -> bool:
        """The same of what came late: a second attempt says that it went back, which ended once."""
        same = (each for each in self.attempts if each.late and each.hold == attempt.hold)
        if any(each.state is AttemptState.SUCCEEDED for each in same) or not is_given_up(attempt):
            return False
        self._stand(now, needs_reconciliation=True)
        step, done = self._steps[attempt.step_id], AttemptState.SUCCEEDED
        given = self._open(
            step,
            Operation.REFUND,
            attempt.processor_id,
            attempt.amount,
            now,
            hold=attempt.hold,
            late=True,
        )
        given = replace(given, state=done, reference=reference, settled_at=now)
        self._paid_out(self._put_attempt(given), now)
        return True

    def _not_paid_out(self, attempt: Attempt, execution: Execution, now: datetime) -> None:
        """A part of a refund failed: what it had reserved is free again."""
        if attempt.late:
            # The money is still with us, and nobody but a person will send it back.
            self._stand(now, needs_reconciliation=True)
            return
        self._part_failed(*self._refund_of(attempt), execution, now)

    def _part_failed(
        self, refund: Refund, part: RefundPart, execution: Execution, now: datetime
    ) -> None:
        step = self._steps[part.step_id]
        code = execution.error_code or ErrorCode.PROCESSING_ERROR
        self._put_step(replace(step, reserved=step.reserved - part.amount))
        part = replace(part, state=RefundState.FAILED, error_code=code)
        self._tell_refund_failed(
            self._put_refund(refund.with_part(part, now)), part, execution, now
        )

    def _tell_refund_failed(
        self, refund: Refund, part: RefundPart, execution: Execution, now: datetime
    ) -> None:
        step = self._steps[part.step_id]
        code = execution.error_code or ErrorCode.PROCESSING_ERROR
        message = execution.user_message or code.user_message
        error = events.FinalError(code, execution.decline_code, message, step.index)
        self.record(
            events.PaymentRefundFailed(
                occurred_at=now, refund_id=refund.id, amount=part.amount, error=error
            )
        )

    def _is_returned(self, reference: str, *, taken: bool) -> bool:
        """Whether what is held or taken under a name is being returned, or was."""
        return any(_settles(each, taken) for each in self.attempts if each.hold == reference)

    def _give_back(
        self, attempt: Attempt, reference: str, amount: Money, now: datetime, *, taken: bool
    ) -> bool:
        """Give back what succeeded after the payment had failed or gone on without it.

        False when that is done or under way already.
        """
        operation = Operation.REFUND if taken else Operation.VOID
        if self._is_returned(reference, taken=taken):
            return False
        step = self._steps[attempt.step_id]
        self._open(step, operation, attempt.processor_id, amount, now, hold=reference, late=True)
        if taken:
            self._add_posting(late_success_posting(self.id, attempt, amount, now))
        self._stand(now, needs_reconciliation=True)
        self.record(
            events.PaymentSucceededLate(
                occurred_at=now,
                attempt_id=attempt.id,
                processor_id=attempt.processor_id,
                operation=Operation.CAPTURE if taken else Operation.AUTHORIZE,
                amount=amount,
            )
        )
        return True


def is_given_up(attempt: Attempt) -> bool:
    """Whether a refund counts as failed of which the processor itself has told nothing.

    Sending it failed, or an operator decided without knowing; so it may be paid out for all that.
    """
    has_failed = attempt.operation is Operation.REFUND and attempt.state is AttemptState.FAILED
    return has_failed and (attempt.reference is None or attempt.evidence is not None)


def _settles(attempt: Attempt, taken: bool) -> bool:
    """Whether it gives back what came late, or what was taken late, so that nothing else has to."""
    if attempt.late and attempt.operation is Operation.REFUND:
        # It is booked once, and a person looks after what has failed.
        return True
    if taken:
        # A hold that was thought released, and was taken after all, is still to be returned.
        return False
    return attempt.operation is Operation.VOID and attempt.state is not AttemptState.FAILED
