"""The whole story of a payment as callers are told it."""

from typing import Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet
from payments.ledger.v1.transaction_pb2 import Transaction
from payments.orchestrator.v1 import payment_story_pb2 as pb
from payments.orchestrator.v1.recorded_request_pb2 import RecordedRequest as RequestMessage
from payments.result.v1.result_pb2 import Result
from payments.router.v1.router_service_pb2 import ExecuteAttemptResponse

from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import Attempt, Evidence
from services.orchestrator.domain.changes import Transition
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.state import AttemptState
from services.orchestrator.domain.story import Books, HeardEvent, RecordedRequest, Story
from services.orchestrator.translate.dispute import dispute_message
from services.orchestrator.translate.payment import payment_message
from services.orchestrator.translate.posting import posting_message
from services.orchestrator.translate.processor_event import DISPOSITION_NUMBERS
from services.orchestrator.translate.refund import refund_message
from services.orchestrator.translate.request import request_message
from services.orchestrator.translate.routing import attempt_message
from services.orchestrator.translate.timeline import timeline
from services.orchestrator.translate.words import OUTCOME_NUMBERS, STATE_NUMBERS, money_message

_ATTEMPT_STATES: Final = {
    word: pb.AttemptState.Value(f"ATTEMPT_STATE_{word.name}") for word in AttemptState
}
_RESULT_FIELD: Final = ExecuteAttemptResponse.RESULT_FIELD_NUMBER
_OUTCOMES: Final = {
    AttemptState.REQUIRES_ACTION: Outcome.REQUIRES_ACTION,
    AttemptState.PENDING: Outcome.PENDING,
    AttemptState.IN_DOUBT: Outcome.UNKNOWN,
    AttemptState.SUCCEEDED: Outcome.SUCCEEDED,
    AttemptState.FAILED: Outcome.FAILED,
}


def recorded_request_message(recorded: RecordedRequest) -> RequestMessage:
    message = RequestMessage(payment_id=recorded.payment_id)
    message.context.MergeFromString(recorded.request)
    if recorded.plan is not None:
        message.plan.MergeFromString(recorded.plan)
    return message


def story_message(story: Story, books: Books) -> pb.PaymentStory:
    payment = story.payment
    owner = payment.id, payment.merchant_id
    message = pb.PaymentStory(
        payment=payment_message(payment),
        context=request_message(payment.request),
        transitions=[_transition_message(each) for each in story.transitions],
        attempts=[
            _attempt_record(payment, each, story.records.get(each.id, b""))
            for each in payment.attempts
        ],
        applied_events=[_applied_message(each) for each in story.heard],
        refunds=[refund_message(each, *owner) for each in payment.refunds],
        disputes=[dispute_message(each, *owner) for each in payment.disputes],
        postings=[posting_message(each, *owner) for each in story.postings],
        ledger_transactions=[Transaction.FromString(each) for each in books.transactions],
    )
    if payment.plan is not None:
        message.plan.MergeFromString(payment.plan.record)
    message.timeline.extend(timeline(story, message, books.problem))
    return message


def _transition_message(transition: Transition) -> pb.Transition:
    message = pb.Transition(to_state=STATE_NUMBERS[transition.after], cause=transition.cause)
    if transition.before is not None:
        message.from_state = STATE_NUMBERS[transition.before]
    message.occurred_at.FromDatetime(transition.occurred_at)
    return message


def _attempt_record(payment: Payment, attempt: Attempt, record: bytes) -> pb.AttemptRecord:
    # What was told is one message after another, and those end to end are one.
    told = ExecuteAttemptResponse.FromString(record)
    message = pb.AttemptRecord(
        attempt=attempt_message(payment.order_for(attempt, attempt.created_at)),
        idempotency_key=attempt.idempotency_key,
        state=_ATTEMPT_STATES[attempt.state],
        decisions=told.decisions,
        tries=told.tries,
    )
    if attempt.state is not AttemptState.OPEN:
        message.result.CopyFrom(_result(attempt, record))
    if attempt.evidence is not None:
        message.evidence.CopyFrom(_evidence_message(attempt.evidence))
    if attempt.settled_at is not None:
        message.settled_at.FromDatetime(attempt.settled_at)
    return message


def _result(attempt: Attempt, record: bytes) -> Result:
    """What was told last, or what is known of an attempt that ended in another way than told.

    Merged into one, a later success would keep the error of an earlier answer: so the last result
    is looked for by itself.
    """
    outcome = OUTCOME_NUMBERS[_OUTCOMES[attempt.state]]
    fields = UnknownFieldSet(Empty.FromString(record))
    results = [place for place in range(len(fields)) if fields[place].field_number == _RESULT_FIELD]
    if results and (last := Result.FromString(fields[results[-1]].data)).outcome == outcome:
        return last
    is_done = attempt.state is AttemptState.SUCCEEDED
    result = Result(
        success=is_done,
        outcome=outcome,
        processor_id=attempt.processor_id,
        processor_reference=attempt.reference or "",
    )
    if is_done:
        result.amount_processed.CopyFrom(money_message(attempt.amount))
    if attempt.settled_at is not None:
        result.observed_at.FromDatetime(attempt.settled_at)
    return result


def _evidence_message(evidence: Evidence) -> pb.ResolutionEvidence:
    return pb.ResolutionEvidence(
        outcome=OUTCOME_NUMBERS[evidence.outcome],
        processor_reference=evidence.reference or "",
        source=evidence.source,
        operator=evidence.operator,
    )


def _applied_message(heard: HeardEvent) -> pb.AppliedEvent:
    message = pb.AppliedEvent(
        webhook_event_id=heard.webhook_event_id or "",
        processor_id=heard.processor_id,
        processor_event_id=heard.id,
        native_type=heard.native_type,
        disposition=DISPOSITION_NUMBERS[heard.disposition],
    )
    message.occurred_at.FromDatetime(heard.occurred_at)
    message.applied_at.FromDatetime(heard.applied_at)
    return message
