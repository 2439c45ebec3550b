"""A payment's story as one ordered list of sentences that a person can follow."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from payments.core.v1.operation_pb2 import Operation
from payments.core.v1.payment_method_pb2 import PaymentMethod
from payments.ledger.v1.transaction_pb2 import Transaction
from payments.orchestrator.v1 import payment_story_pb2 as pb
from payments.plan.v1.payment_plan_pb2 import CANDIDATE_VERDICT_KEPT, PaymentPlan, PaymentStep
from payments.result.v1.result_pb2 import Outcome, Result
from payments.router.v1.routing_pb2 import Try

from services.kernel.outcome import ErrorCode
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.attempt import Attempt
from services.orchestrator.domain.changes import Transition
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import DisputeState, PaymentState, PostingState, RefundState
from services.orchestrator.domain.story import HeardEvent, PostingRecord, Story
from services.orchestrator.translate.lines import Line, Rank, enum_words, moment, money, words
from services.orchestrator.translate.words import (
    CAPTURE_METHODS,
    ERROR_CODES,
    SPLIT_POLICIES,
)

_OUTCOMES: Final[Mapping[int, str]] = {
    Outcome.OUTCOME_SUCCEEDED: "it succeeded",
    Outcome.OUTCOME_FAILED: "it failed",
    Outcome.OUTCOME_REQUIRES_ACTION: "the customer must authenticate first",
    Outcome.OUTCOME_UNKNOWN: "whether it was done is not known",
    Outcome.OUTCOME_PENDING: "it took the order and tells later how it ended",
}
_PLACES: Final = {
    PostingState.PENDING: "not booked yet",
    PostingState.POSTED: "booked since",
    PostingState.NEEDS_RECONCILIATION: "the ledger refused it, and a person has to look",
}


def timeline(story: Story, message: pb.PaymentStory, problem: str) -> list[pb.StoryLine]:
    """The sentences in the order in which things happened."""
    lines = sorted(_lines(story, message), key=lambda line: (line.at, line.rank))
    if problem:
        text = f"The ledger cannot be asked now what it has booked: {problem}."
        lines.append(Line(lines[-1].at, Rank.BOOKED, "ledger", text))
    return [_message(line) for line in lines]


def _lines(story: Story, message: pb.PaymentStory) -> Iterator[Line]:
    yield from _asked(message)
    names = {str(each.id): f"attempt {each.number}" for each in story.payment.attempts}
    for transition in story.transitions:
        yield _moved(transition, names)
    yield from _doubted(story)
    for transition in story.transitions:
        if message.HasField("plan") and transition.after is PaymentState.CONFIRMING:
            yield from _planned(message.plan, transition.occurred_at)
    for attempt, record in zip(story.payment.attempts, message.attempts, strict=True):
        yield from _attempted(attempt, record)
    yield from map(_heard, story.heard)
    for refund in story.payment.refunds:
        yield from _refunded(refund)
    for dispute in story.payment.disputes:
        yield from _disputed(dispute)
    booked = {each.id for each in message.ledger_transactions}
    for posting in story.postings:
        yield from _owed(posting, booked)
    yield from map(_booked, message.ledger_transactions)


def _asked(message: pb.PaymentStory) -> Iterator[Line]:
    # The clock of another machine may be ahead, and what was asked for came first all the same.
    context, made_at = message.context, moment(message.payment.created_at)
    at = min(moment(context.received_at), made_at)
    method = enum_words(PaymentMethod.Name(context.instrument.method), "PAYMENT_METHOD_")
    key = "a key that was made for it" if context.idempotency_key_generated else "the key"
    text = f"{money(context.amount)} by {method} was asked for, under {key}"
    text += f" {context.idempotency_key}."
    yield Line(at, Rank.ASKED, "gateway", text, context.request_id)
    for issue in context.issues:
        text = f'{issue.field} came as "{issue.raw}" and was read as "{issue.coerced}":'
        text += f" {issue.message.rstrip('.')} ({issue.rule})."
        yield Line(at, Rank.ASKED, "gateway", text, context.request_id)


def _moved(transition: Transition, names: Mapping[str, str]) -> Line:
    kind, _, cause_id = transition.cause.partition(":")
    cause = names.get(cause_id, f"{kind} {cause_id}")
    move = (
        f"The payment was made, {transition.after.name}"
        if transition.before is None
        else f"The payment went from {transition.before.name} to {transition.after.name}"
    )
    return Line(transition.occurred_at, Rank.MOVED, "orchestrator", f"{move}, because of {cause}.")


def _doubted(story: Story) -> Iterator[Line]:
    since = story.payment.standing.in_doubt_since
    if since is not None:
        text = "What a processor did is in doubt since now, and is looked up until it is known."
        yield Line(since, Rank.MOVED, "orchestrator", text)


def _planned(plan: PaymentPlan, at: datetime) -> Iterator[Line]:
    count = "1 step" if len(plan.steps) == 1 else f"{len(plan.steps)} steps"
    policy = words(SPLIT_POLICIES[plan.split_policy])
    capture = words(CAPTURE_METHODS[plan.capture_method])
    text = f"Version {plan.config_version} of the configuration gave a plan of {count}"
    text += f" ({policy}, {capture} capture, platform fee {money(plan.platform_fee)})."
    yield Line(at, Rank.PLANNED, "plan", text)
    for step in plan.steps:
        yield Line(at, Rank.PLANNED, "plan", _step_sentence(step))
        for decision in step.decisions:
            verdict = "is kept" if decision.verdict == CANDIDATE_VERDICT_KEPT else "is left out"
            text = f"Step {step.index}: {decision.processor_id} {verdict}:"
            text += f" {decision.message} ({decision.rule})."
            yield Line(at, Rank.PLANNED, "plan", text)


def _step_sentence(step: PaymentStep) -> str:
    method = enum_words(PaymentMethod.Name(step.instrument.method), "PAYMENT_METHOD_")
    places = ", then ".join(each.processor_id for each in step.candidates)
    most = ""
    if step.max_amount.amount_minor > step.amount.amount_minor:
        most = f", or up to {money(step.max_amount)} if an earlier step leaves it"
    return f"Step {step.index}: {money(step.amount)} by {method}{most}, at {places}."


def _attempted(attempt: Attempt, record: pb.AttemptRecord) -> Iterator[Line]:
    name = f"Attempt {attempt.number}"
    late = ", to give back what came too late" if attempt.late else ""
    text = f"{name} was committed before anyone was asked:"
    what = "authorize and capture" if attempt.capture_at_once else attempt.operation
    text += f" {what} {attempt.amount} at {attempt.processor_id}{late}."
    yield Line(attempt.created_at, Rank.COMMITTED, "orchestrator", text, attempt.id)
    for decision in record.decisions:
        text = f"{name}: {decision.message} ({decision.rule}, {decision.processor_id})."
        yield Line(moment(decision.decided_at), Rank.SENT, "router", text, attempt.id)
    for each in record.tries:
        yield Line(
            moment(each.sent_at), Rank.SENT, "processor", _try_sentence(name, each), attempt.id
        )
    yield from _settled(name, attempt, record)


def _settled(name: str, attempt: Attempt, record: pb.AttemptRecord) -> Iterator[Line]:
    """How it ended, unless the last try has said so already."""
    at = attempt.settled_at
    if at is None:
        return
    if (evidence := attempt.evidence) is not None:
        reference = f", as {evidence.reference}" if evidence.reference else ""
        text = f"{name} was settled by {evidence.operator}: it {evidence.outcome}{reference};"
        text += f" seen in: {evidence.source}."
        yield Line(at, Rank.LEARNED, "operator", text, attempt.id)
    elif not record.tries or record.tries[-1].result.outcome != record.result.outcome:
        text = f"{name} is settled: {_outcome(record.result)}."
        yield Line(at, Rank.LEARNED, "orchestrator", text, attempt.id)


def _try_sentence(name: str, each: Try) -> str:
    result = each.result
    asked = (
        "what became of it"
        if each.operation == Operation.OPERATION_LOOKUP
        else f"to {enum_words(Operation.Name(each.operation), 'OPERATION_')}"
    )
    return (
        f"{name}: {result.processor_id} was asked {asked}, and within {result.latency_ms} ms:"
        f" {_outcome(result)}."
    )


def _outcome(result: Result) -> str:
    """What came of a request, with what the processor called it and why."""
    text = _OUTCOMES.get(result.outcome, "what it answered is not understood")
    if result.outcome == Outcome.OUTCOME_SUCCEEDED and result.HasField("amount_processed"):
        text += f" with {money(result.amount_processed)}"
    if result.processor_reference:
        text += f", as {result.processor_reference}"
    code: ErrorCode | None = ERROR_CODES.get(result.error_code)
    if code is not None:
        decline = f", {result.decline_code}" if result.decline_code else ""
        text += f" ({code}{decline})"
    if result.HasField("amount_captured"):
        text += f"; {money(result.amount_captured)} is taken"
    return f"{text}; {result.anomaly}" if result.anomaly else text


def _heard(heard: HeardEvent) -> Line:
    is_known = heard.disposition is Disposition.KNOWN
    what = "changed nothing" if is_known else f"was {heard.disposition}"
    text = f"{heard.processor_id} told of {heard.native_type} ({heard.id}), which {what}:"
    text += f" {heard.message.rstrip('.')}."
    return Line(heard.applied_at, Rank.LEARNED, "webhooks", text, heard.webhook_event_id or "")


def _refunded(refund: Refund) -> Iterator[Line]:
    began = "was asked for" if refund.idempotency_key else "began without being asked for"
    reason = f": {refund.reason.rstrip('.')}" if refund.reason else ""
    text = f"A refund of {refund.amount} {began}{reason}."
    yield Line(refund.created_at, Rank.WANTED, "orchestrator", text, refund.id)
    if refund.state is RefundState.SUCCEEDED:
        text = f"The refund of {refund.amount} was paid out; {refund.fee_returned} of the fee"
        text += " went back with it."
    elif refund.state is RefundState.FAILED:
        codes = sorted({part.error_code for part in refund.parts if part.error_code is not None})
        why = f" ({', '.join(codes)})" if codes else ""
        text = f"The refund of {refund.amount} failed{why}; {refund.returned} was paid out."
    else:
        return
    yield Line(refund.updated_at, Rank.LEARNED, "orchestrator", text, refund.id)


def _disputed(dispute: Dispute) -> Iterator[Line]:
    reason = f" ({dispute.reason})" if dispute.reason else ""
    text = f"The customer disputed {dispute.amount}{reason} at {dispute.processor_id}"
    if dispute.excess.is_positive:
        text += f"; {dispute.excess} of it exceeds what was left"
    if dispute.fee.is_positive:
        text += f"; the dispute costs {dispute.fee}"
    yield Line(dispute.opened_at, Rank.LEARNED, "processor", f"{text}.", dispute.id)
    if dispute.closed_at is not None:
        winner = "merchant" if dispute.state is DisputeState.WON else "customer"
        text = f"The dispute was {dispute.state}: the {winner} keeps {dispute.amount}."
        yield Line(dispute.closed_at, Rank.LEARNED, "processor", text, dispute.id)


def _owed(posting: PostingRecord, booked: Iterable[str]) -> Iterator[Line]:
    text = f"The {words(posting.kind)} of {posting.amount} is owed to the ledger, under the key"
    text += f" {posting.idempotency_key}: {_PLACES[posting.state]}"
    if posting.refusal is not None and posting.state is not PostingState.POSTED:
        tries = "1 try" if posting.try_count == 1 else f"{posting.try_count} tries"
        text += f" after {tries}: {posting.refusal.message.rstrip('.')}"
    yield Line(posting.created_at, Rank.OWED, "orchestrator", f"{text}.", posting.id)
    for retry in posting.retries:
        text = f"{retry.operator} had {posting.idempotency_key} tried again: {retry.reason}."
        yield Line(retry.asked_at, Rank.WANTED, "operator", text, posting.id)
    if posting.transaction_id and posting.transaction_id not in booked and posting.posted_at:
        text = f"The ledger took {posting.idempotency_key}."
        yield Line(posting.posted_at, Rank.BOOKED, "ledger", text, posting.transaction_id)


def _booked(transaction: Transaction) -> Line:
    entries = ", ".join(f"{each.account} {money(each.amount)}" for each in transaction.entries)
    text = f"Booked under {transaction.idempotency_key}: {entries}."
    return Line(moment(transaction.created_at), Rank.BOOKED, "ledger", text, transaction.id)


def _message(line: Line) -> pb.StoryLine:
    message = pb.StoryLine(source=line.source, message=line.text, object_id=line.object_id)
    message.occurred_at.FromDatetime(line.at)
    return message
