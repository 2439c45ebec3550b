"""The archive: parts of payments by themselves, and all that is recorded about one payment."""

from collections.abc import Iterable, Sequence
from typing import Final

from services.kernel.errors import Reason
from services.kernel.ids import (
    AttemptId,
    DisputeId,
    LedgerTransactionId,
    MerchantId,
    PaymentId,
    PostingId,
    RefundId,
    WebhookEventId,
)
from services.kernel.money import Currency, Money
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.changes import Transition
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.listing import (
    DisputeFilter,
    OfPayment,
    Part,
    PostingFilter,
    RefundFilter,
    RequestFilter,
)
from services.orchestrator.domain.posting import PostingKind, Refusal, Retry, state_of_all
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import PaymentState, PostingState
from services.orchestrator.domain.story import (
    HeardEvent,
    PostingRecord,
    Pulse,
    RecordedRequest,
    Story,
)
from services.orchestrator.store.reading import SQL, dispute_of, find_payments, refunds_of
from services.orchestrator.store.unit import Codec
from services.runtime.database import Connection, Database, Isolation, Record

# One snapshot, so that what is read by several statements is of one moment.
_SNAPSHOT: Final = Isolation.REPEATABLE_READ


class Archive:
    """What was written about payments, read in other ways than as payments that go on."""

    def __init__(self, database: Database, codec: Codec) -> None:
        self._database = database
        self._codec = codec

    async def find_refund(self, refund_id: RefundId) -> OfPayment[Refund] | None:
        found = await self._refunds("find_refund", refund_id.hex)
        return found[0] if found else None

    async def list_refunds(
        self, wanted: RefundFilter, after: RefundId | None, limit: int
    ) -> Sequence[OfPayment[Refund]]:
        """Refunds from newest to oldest, from after one of them."""
        return await self._refunds("list_refunds", *_filter(wanted), after and after.hex, limit)

    async def find_dispute(self, dispute_id: DisputeId) -> OfPayment[Dispute] | None:
        rows = await self._fetch("find_dispute", dispute_id.hex)
        return _owned(rows[0], _dispute(rows[0])) if rows else None

    async def list_disputes(
        self, wanted: DisputeFilter, after: DisputeId | None, limit: int
    ) -> Sequence[OfPayment[Dispute]]:
        """Disputes from newest to oldest, from after one of them."""
        rows = await self._fetch("list_disputes", *_filter(wanted), after and after.hex, limit)
        return [_owned(row, _dispute(row)) for row in rows]

    async def list_postings(
        self, wanted: PostingFilter, after: PostingId | None, limit: int
    ) -> Sequence[OfPayment[PostingRecord]]:
        """Postings from oldest to newest, from after one of them."""

        async def read(connection: Connection) -> Sequence[OfPayment[PostingRecord]]:
            rows = await connection.fetch(
                SQL["list_postings"],
                wanted.merchant_id and wanted.merchant_id.hex,
                wanted.payment_id and wanted.payment_id.hex,
                list(wanted.states),
                after and after.hex,
                limit,
            )
            retries = await connection.fetch(SQL["find_retries"], [row["id"] for row in rows])
            return [_owned(row, _posting(row, retries)) for row in rows]

        return await self._database.transaction(read, isolation=_SNAPSHOT)

    async def list_requests(
        self, wanted: RequestFilter, after: PaymentId | None, limit: int
    ) -> Sequence[RecordedRequest]:
        """Requests from newest to oldest, from after that of one payment."""
        rows = await self._fetch(
            "list_requests",
            wanted.merchant_id and wanted.merchant_id.hex,
            wanted.received_from,
            wanted.received_before,
            after and after.hex,
            limit,
        )
        return [
            RecordedRequest(PaymentId.of_hex(row["id"].hex), row["request"], row["plan"])
            for row in rows
        ]

    async def find_pulse(self, payment_id: PaymentId) -> Pulse | None:
        rows = await self._fetch("find_pulse", payment_id.hex)
        if not rows:
            return None
        states = map(PostingState, rows[0]["posting_states"])
        return Pulse(rows[0]["version"], state_of_all(states), rows[0]["is_at_rest"])

    async def find_story(self, payment_id: PaymentId) -> Story | None:
        """All that is recorded about a payment."""

        async def read(connection: Connection) -> Story | None:
            found = await find_payments(connection, self._codec, [payment_id.hex])
            if not found:
                return None
            rows = {
                name: await connection.fetch(SQL[name], payment_id.hex)
                for name in ("find_transitions", "find_records", "find_applied_events")
            }
            postings = await connection.fetch(SQL["find_postings"], payment_id.hex)
            retries = await connection.fetch(SQL["find_retries"], [row["id"] for row in postings])
            return Story(
                payment=found[0],
                transitions=[_transition(row) for row in rows["find_transitions"]],
                records={
                    AttemptId.of_hex(row["id"].hex): row["record"] for row in rows["find_records"]
                },
                heard=[_heard(row) for row in rows["find_applied_events"]],
                postings=[_posting(row, retries) for row in postings],
            )

        return await self._database.transaction(read, isolation=_SNAPSHOT)

    async def _refunds(self, statement: str, *values: object) -> Sequence[OfPayment[Refund]]:
        async def read(connection: Connection) -> Sequence[OfPayment[Refund]]:
            rows = await connection.fetch(SQL[statement], *values)
            parts = await connection.fetch(
                SQL["find_parts_of_refunds"], [row["id"] for row in rows]
            )
            return [
                _owned(row, *refunds_of([row], parts, Currency(row["currency"]))) for row in rows
            ]

        return await self._database.transaction(read, isolation=_SNAPSHOT)

    async def _fetch(self, statement: str, *values: object) -> Sequence[Record]:
        async with self._database.connection() as connection:
            return await connection.fetch(SQL[statement], *values)


def _filter(wanted: RefundFilter | DisputeFilter) -> tuple[object, ...]:
    return (
        wanted.merchant_id and wanted.merchant_id.hex,
        wanted.payment_id and wanted.payment_id.hex,
        list(wanted.states),
        wanted.created_from,
        wanted.created_before,
    )


def _owned(row: Record, part: Part) -> OfPayment[Part]:
    return OfPayment(
        PaymentId.of_hex(row["payment_id"].hex), MerchantId.of_hex(row["merchant_id"].hex), part
    )


def _dispute(row: Record) -> Dispute:
    return dispute_of(row, Currency(row["currency"]))


def _posting(row: Record, retries: Iterable[Record]) -> PostingRecord:
    transaction_id = row["transaction_id"]
    return PostingRecord(
        id=PostingId.of_hex(row["id"].hex),
        kind=PostingKind(row["kind"]),
        idempotency_key=row["idempotency_key"],
        state=PostingState(row["state"]),
        amount=Money(row["amount"], Currency(row["currency"])),
        transaction_id=transaction_id and LedgerTransactionId.of_hex(transaction_id.hex),
        try_count=row["try_count"],
        refusal=_refusal(row),
        created_at=row["created_at"],
        posted_at=row["posted_at"],
        retries=[_retry(each) for each in retries if each["posting_id"] == row["id"]],
    )


def _retry(row: Record) -> Retry:
    return Retry(row["operator"], row["reason"], row["asked_at"], row["try_count"], _refusal(row))


def _refusal(row: Record) -> Refusal | None:
    """Why the ledger had a posting not, when it was last asked."""
    reason = row["failure_reason"]
    return None if reason is None else Refusal(Reason(reason), row["failure_message"])


def _transition(row: Record) -> Transition:
    before = row["from_state"]
    return Transition(
        None if before is None else PaymentState(before),
        PaymentState(row["to_state"]),
        row["cause"],
        row["occurred_at"],
    )


def _heard(row: Record) -> HeardEvent:
    brought_by = row["webhook_event_id"]
    return HeardEvent(
        processor_id=row["processor_id"],
        id=row["event_id"],
        webhook_event_id=brought_by and WebhookEventId.of_hex(brought_by.hex),
        native_type=row["native_type"],
        disposition=Disposition(row["disposition"]),
        message=row["message"],
        occurred_at=row["occurred_at"],
        applied_at=row["applied_at"],
    )
