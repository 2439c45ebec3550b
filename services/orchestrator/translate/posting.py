"""Postings as the ledger is sent them, what it answers, and what callers are told of them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from typing import Final

from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.core.v1.failure_pb2 import Failure
from payments.ledger.v1 import ledger_service_pb2, transaction_pb2
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import posting_pb2

from services.kernel.errors import Reason
from services.kernel.ids import LedgerTransactionId, MerchantId, PaymentId, PostingId
from services.orchestrator.domain.posting import (
    Booked,
    DuePosting,
    PostingKind,
    Refusal,
    RetryOrder,
    RetrySelection,
)
from services.orchestrator.domain.story import PostingRecord
from services.orchestrator.translate.idempotency import check_key
from services.orchestrator.translate.listing import merchant_or_operator
from services.orchestrator.translate.words import (
    POSTING_STATE_NUMBERS,
    invalid,
    money_from,
    money_message,
    plain_text,
)

_IDS_MAX: Final = 1_000
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


def booked_as(transaction: transaction_pb2.Transaction, posting: DuePosting) -> Booked | None:
    """A transaction under a posting's key as its booking; None when it books something else."""
    entries = Counter((each.account, money_from(each.amount)) for each in transaction.entries)
    if entries != Counter((each.account, each.amount) for each in posting.entries):
        return None
    return Booked(
        LedgerTransactionId.parse(transaction.id),
        transaction.created_at.ToDatetime(tzinfo=UTC),
    )


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


def retry_from_request(request: pb.RetryPostingsRequest) -> RetryOrder:
    """What an operator wants to have tried again."""
    words = {
        "operator": plain_text("operator", request.operator),
        "reason": plain_text("reason", request.reason),
    }
    for field, text in words.items():
        if not text.strip():
            raise invalid(field, f"retry.{field}", "must be said")
    return RetryOrder(check_key(request.idempotency_key), _selection(request), **words)


def _selection(request: pb.RetryPostingsRequest) -> RetrySelection:
    match request.WhichOneof("selection"):
        case "ids":
            ids = request.ids.posting_ids
            if not 1 <= len(ids) <= _IDS_MAX:
                raise invalid("ids", "retry.ids.count", f"must name 1 to {_IDS_MAX} postings")
            return RetrySelection(ids=tuple(sorted({PostingId.parse(text) for text in ids})))
        case "given_up":
            given_up = request.given_up
            return RetrySelection(
                merchant_id=merchant_or_operator(given_up.merchant_id),
                payment_id=PaymentId.parse(given_up.payment_id) if given_up.payment_id else None,
            )
        case _:
            raise invalid("selection", "retry.selection", "must say which postings are meant")


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
    _tell_why(posting.refusal, message.last_failure)
    message.created_at.FromDatetime(posting.created_at)
    if posting.posted_at is not None:
        message.posted_at.FromDatetime(posting.posted_at)
    for each in posting.retries:
        retry = message.retries.add(
            operator=each.operator, reason=each.reason, try_count=each.try_count
        )
        retry.asked_at.FromDatetime(each.asked_at)
        _tell_why(each.refusal, retry.failure)
    return message


def _tell_why(refusal: Refusal | None, failure: Failure) -> None:
    if refusal is not None:
        failure.reason = ErrorReason.Value(_LEAD + refusal.reason.name)
        failure.message = refusal.message
