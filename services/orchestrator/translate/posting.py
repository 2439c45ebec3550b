"""Postings as the ledger is sent them, what it answers, and what callers are told of them."""

from collections.abc import Sequence
from datetime import UTC

from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1 import ledger_service_pb2, transaction_pb2
from payments.orchestrator.v1 import posting_pb2

from services.kernel.errors import Reason
from services.kernel.ids import LedgerTransactionId, MerchantId, PaymentId
from services.orchestrator.domain.posting import Booked, DuePosting, PostingKind, Refusal
from services.orchestrator.domain.story import PostingRecord
from services.orchestrator.translate.words import POSTING_STATE_NUMBERS, money_message

_LEAD = "ERROR_REASON_"
_KIND_NUMBERS = {
    kind: posting_pb2.PostingKind.Value(f"POSTING_KIND_{kind.name}") for kind in PostingKind
}


def batch_request(
    postings: Sequence[DuePosting],
) -> ledger_service_pb2.BatchPostTransactionsRequest:
    return ledger_service_pb2.BatchPostTransactionsRequest(
        drafts=[
            transaction_pb2.TransactionDraft(
                idempotency_key=posting.idempotency_key,
                reference_id=posting.payment_id,
                entries=[
                    transaction_pb2.EntryDraft(
                        account=entry.account, amount=money_message(entry.amount)
                    )
                    for entry in posting.entries
                ],
            )
            for posting in postings
        ]
    )


def outcomes_from_response(
    response: ledger_service_pb2.BatchPostTransactionsResponse,
) -> Sequence[Booked | Refusal]:
    return [_outcome(result) for result in response.results]


def _outcome(result: transaction_pb2.PostingResult) -> Booked | Refusal:
    if result.HasField("posted"):
        posted = result.posted
        return Booked(
            LedgerTransactionId.parse(posted.transaction_id),
            posted.created_at.ToDatetime(tzinfo=UTC),
        )
    return Refusal(_reason(result.failure.reason), result.failure.message)


def _reason(number: ErrorReason.ValueType) -> Reason:
    """The ledger's reason; one of a later release is told as the ledger's own fault."""
    try:
        return Reason(ErrorReason.Name(number).removeprefix(_LEAD))
    except ValueError:
        return Reason.INTERNAL


def posting_message(
    posting: PostingRecord, payment_id: PaymentId, merchant_id: MerchantId
) -> posting_pb2.Posting:
    """A posting as callers are told of it."""
    message = posting_pb2.Posting(
        id=posting.id,
        payment_id=payment_id,
        merchant_id=merchant_id,
        kind=_KIND_NUMBERS[posting.kind],
        idempotency_key=posting.idempotency_key,
        state=POSTING_STATE_NUMBERS[posting.state],
        amount=money_message(posting.amount),
        transaction_id=posting.transaction_id or "",
        try_count=posting.try_count,
    )
    if posting.refusal is not None:
        message.last_failure.reason = ErrorReason.Value(_LEAD + posting.refusal.reason.name)
        message.last_failure.message = posting.refusal.message
    message.created_at.FromDatetime(posting.created_at)
    if posting.posted_at is not None:
        message.posted_at.FromDatetime(posting.posted_at)
    return message
