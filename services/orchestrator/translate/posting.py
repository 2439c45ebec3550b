"""Postings as the ledger is sent them, and what it answers."""

from collections.abc import Sequence
from datetime import UTC

from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1 import ledger_service_pb2, transaction_pb2

from services.kernel.errors import Reason
from services.kernel.ids import LedgerTransactionId
from services.orchestrator.domain.posting import Booked, DuePosting, Refusal
from services.orchestrator.translate.words import money_message

_LEAD = "ERROR_REASON_"


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
