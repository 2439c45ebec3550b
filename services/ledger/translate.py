"""The ledger's messages and its domain, each in terms of the other."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from payments.core.v1 import money_pb2
from payments.events.v1 import envelope_pb2, ledger_event_pb2
from payments.ledger.v1 import integrity_pb2, ledger_service_pb2, statement_pb2, transaction_pb2

from services.kernel.errors import FieldViolation, InvalidArgument, SwitchyardError
from services.kernel.ids import PaymentId
from services.kernel.money import MAX_AMOUNT_MINOR, MIN_AMOUNT_MINOR, Currency
from services.kernel.paging import decode_page_token, encode_page_token, invalid_page_token
from services.ledger.domain.statement import (
    Balance,
    StatementCursor,
    StatementFilter,
    StatementLine,
    TransactionCursor,
    TransactionFilter,
)
from services.ledger.domain.transaction import (
    Entry,
    EntryDraft,
    LedgerPosted,
    Posted,
    Transaction,
    TransactionDraft,
)
from services.ledger.domain.verification import Finding, Progress, Verdict
from services.runtime.wire.amounts import money_from, money_message
from services.runtime.wire.failures import failure_message
from services.runtime.wire.listing import filters_of
from services.runtime.wire.moments import optional_moment

_PAYMENT_LEAD: Final = f"{PaymentId.prefix}_"

# What PostgreSQL's integer and xid8 hold.
_EPOCHS: Final = range(2**31)
_WRITINGS: Final = range(2**64)

# A draft comes on its own or in a batch; both have the same fields.
DraftMessage = ledger_service_pb2.PostTransactionRequest | transaction_pb2.TransactionDraft


def draft_from_message(message: DraftMessage) -> TransactionDraft:
    """The draft, or every field that cannot be read."""
    entries: list[EntryDraft] = []
    violations: list[FieldViolation] = []
    for number, entry in enumerate(message.entries):
        try:
            amount = money_from(entry.amount)
        except InvalidArgument as error:
            path = f"entries[{number}].amount"
            violations += (replace(v, field=f"{path}.{v.field}") for v in error.violations)
        else:
            entries.append(EntryDraft(entry.account, amount))
    if violations:
        raise InvalidArgument("an entry cannot be read", violations=violations)
    return TransactionDraft(message.idempotency_key, message.reference_id, tuple(entries))


def drafts_from_batch(
    request: ledger_service_pb2.BatchPostTransactionsRequest,
) -> Sequence[TransactionDraft | SwitchyardError]:
    """Each draft of a batch, or in its place why it is none."""
    drafts: list[TransactionDraft | SwitchyardError] = []
    for message in request.drafts:
        try:
            drafts.append(draft_from_message(message))
        except InvalidArgument as error:
            drafts.append(error)
    return drafts


def batch_response(
    request: ledger_service_pb2.BatchPostTransactionsRequest,
    outcomes: Sequence[Posted | SwitchyardError],
) -> ledger_service_pb2.BatchPostTransactionsResponse:
    """What became of each draft, in the order of the request."""
    response = ledger_service_pb2.BatchPostTransactionsResponse()
    for draft, outcome in zip(request.drafts, outcomes, strict=True):
        result = response.results.add(idempotency_key=draft.idempotency_key)
        if isinstance(outcome, SwitchyardError):
            result.failure.CopyFrom(failure_message(outcome))
        else:
            result.posted.transaction_id = outcome.transaction_id
            result.posted.replayed = outcome.replayed
            result.posted.created_at.FromDatetime(outcome.created_at)
    return response


def transaction_message(transaction: Transaction) -> transaction_pb2.Transaction:
    message = transaction_pb2.Transaction(
        id=transaction.id,
        reference_id=transaction.reference_id,
        idempotency_key=transaction.idempotency_key,
        entries=[_entry_message(entry) for entry in transaction.entries],
    )
    message.created_at.FromDatetime(transaction.created_at)
    return message


def transaction_filter(
    request: ledger_service_pb2.ListTransactionsRequest,
) -> TransactionFilter:
    return TransactionFilter(
        reference_id=request.reference_id or None,
        account=request.account or None,
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def transactions_after(
    request: ledger_service_pb2.ListTransactionsRequest,
) -> TransactionCursor | None:
    """The transaction after which the page begins."""
    parts = decode_page_token(request.page_token, filters_of(request), length=3)
    if parts is None:
        return None
    try:
        cursor = TransactionCursor(int(parts[0]), int(parts[1]), UUID(parts[2]))
    except ValueError:
        raise invalid_page_token() from None
    if cursor.epoch not in _EPOCHS or cursor.written_in not in _WRITINGS:
        raise invalid_page_token()
    return cursor


def transactions_token(
    request: ledger_service_pb2.ListTransactionsRequest, after: TransactionCursor | None
) -> str:
    if after is None:
        return ""
    parts = (str(after.epoch), str(after.written_in), after.transaction_uuid.hex)
    return encode_page_token(filters_of(request), parts)


def balance_as_of(request: ledger_service_pb2.GetBalanceRequest) -> datetime | None:
    return optional_moment(request, "as_of")


def balance_message(balance: Balance) -> statement_pb2.Balance:
    message = statement_pb2.Balance(
        account=balance.account,
        amount=money_message(balance.amount),
        entry_count=balance.entry_count,
    )
    message.as_of.FromDatetime(balance.as_of)
    return message


def statement_filter(request: ledger_service_pb2.ListEntriesRequest) -> StatementFilter:
    return StatementFilter(
        account=request.account,
        currency=Currency(request.currency),
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
    )


def statement_after(request: ledger_service_pb2.ListEntriesRequest) -> StatementCursor | None:
    """The line after which the page begins."""
    parts = decode_page_token(request.page_token, filters_of(request), length=2)
    if parts is None:
        return None
    try:
        created_at = datetime.fromisoformat(parts[0]).astimezone(UTC)
        return StatementCursor(created_at, UUID(parts[1]))
    except (ValueError, OverflowError):
        raise invalid_page_token() from None


def statement_token(
    request: ledger_service_pb2.ListEntriesRequest, after: StatementCursor | None
) -> str:
    if after is None:
        return ""
    parts = (after.created_at.isoformat(), after.entry_uuid.hex)
    return encode_page_token(filters_of(request), parts)


def statement_line_message(line: StatementLine) -> statement_pb2.StatementLine:
    message = statement_pb2.StatementLine(
        entry_id=line.entry.id,
        transaction_id=line.entry.transaction_id,
        reference_id=line.reference_id,
        amount=money_message(line.entry.amount),
        running_balance=money_message(line.running_balance),
    )
    message.created_at.FromDatetime(line.entry.created_at)
    return message


def progress_message(progress: Progress) -> integrity_pb2.IntegrityProgress:
    return integrity_pb2.IntegrityProgress(
        blocks_checked=progress.blocks_checked,
        blocks_total=progress.blocks_total,
        transactions_checked=progress.transactions_checked,
        entries_checked=progress.entries_checked,
    )


def verdict_message(verdict: Verdict) -> integrity_pb2.IntegrityVerdict:
    message = integrity_pb2.IntegrityVerdict(
        state=integrity_pb2.IntegrityState.Value(f"INTEGRITY_STATE_{verdict.state}"),
        findings=[_finding_message(finding) for finding in verdict.findings],
        findings_unlisted=verdict.findings_unlisted,
        checked=progress_message(verdict.checked),
        sums=[
            money_pb2.Money(amount_minor=total_minor, currency=currency)
            for currency, total_minor in sorted(verdict.sums_minor.items())
            # A sum that fits no amount is far from zero, and a finding tells it.
            if MIN_AMOUNT_MINOR <= total_minor <= MAX_AMOUNT_MINOR
        ],
        transactions_unsealed=verdict.transactions_unsealed,
    )
    if verdict.sealed_through is not None:
        message.sealed_through.FromDatetime(verdict.sealed_through)
    return message


def event_payload(event: LedgerPosted) -> bytes:
    """The event in the envelope that every consumer reads."""
    envelope = envelope_pb2.Envelope(
        id=event.event_id,
        type=type(event).__name__,
        schema_version=1,
        sequence=1,
        ledger_posted=ledger_event_pb2.LedgerPosted(
            transaction_id=event.transaction_id,
            reference_id=event.reference_id,
            idempotency_key=event.idempotency_key,
            entry_count=event.entry_count,
        ),
    )
    if event.reference_id.startswith(_PAYMENT_LEAD):
        envelope.payment_id = event.reference_id
    envelope.occurred_at.FromDatetime(event.occurred_at)
    return envelope.SerializeToString()


def _finding_message(finding: Finding) -> integrity_pb2.IntegrityFinding:
    return integrity_pb2.IntegrityFinding(
        kind=integrity_pb2.IntegrityFindingKind.Value(f"INTEGRITY_FINDING_KIND_{finding.kind}"),
        block_number=finding.block_number,
        epoch=finding.epoch,
        transaction_id=finding.transaction_id,
        message=finding.message,
    )


def _entry_message(entry: Entry) -> transaction_pb2.Entry:
    message = transaction_pb2.Entry(
        id=entry.id,
        transaction_id=entry.transaction_id,
        account=entry.account,
        amount=money_message(entry.amount),
    )
    message.created_at.FromDatetime(entry.created_at)
    return message
