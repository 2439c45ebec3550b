"""What is known about a payment beside how it stands: what was told of it, and what was booked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.kernel.ids import AttemptId, LedgerTransactionId, PaymentId, PostingId, WebhookEventId
from services.kernel.money import Money
from services.orchestrator.domain.applied import Disposition
from services.orchestrator.domain.changes import Transition
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.posting import PostingKind, Refusal, Retry
from services.orchestrator.domain.state import PostingState


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it was stored, with the plan that was made of it, if one was."""

    payment_id: PaymentId
    request: bytes = field(repr=False)
    plan: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class PostingRecord:
    """A posting, and how far the ledger has followed it."""

    id: PostingId
    kind: PostingKind
    idempotency_key: str
    state: PostingState
    amount: Money
    transaction_id: LedgerTransactionId | None
    try_count: int
    refusal: Refusal | None
    """Why the last try failed, whatever became of the posting since."""
    created_at: datetime
    posted_at: datetime | None
    retries: Sequence[Retry] = ()


@dataclass(frozen=True, slots=True)
class HeardEvent:
    """What a processor told unasked, and what that did."""

    processor_id: str
    id: str
    webhook_event_id: WebhookEventId | None
    native_type: str
    disposition: Disposition
    message: str
    occurred_at: datetime
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class Story:
    """All that is recorded about one payment, of one moment."""

    payment: Payment
    transitions: Sequence[Transition]
    records: Mapping[AttemptId, bytes]
    """What was told of each attempt, one answer after another; an open one may have none."""
    heard: Sequence[HeardEvent]
    postings: Sequence[PostingRecord]


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger's transactions about a payment, oldest first, as it told them.

    A ledger that is away does not keep the rest of a story from being told: `problem` says why
    there are none.
    """

    transactions: Sequence[bytes] = field(default=(), repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What shows that a payment has changed, and whether it will by itself."""

    version: int
    posting_state: PostingState
    is_at_rest: bool
    """Whether only another call, or a processor's event, can change it."""

    @property
    def is_last(self) -> bool:
        """Whether nothing more is to be expected of it, its postings included."""
        return self.is_at_rest and self.posting_state is not PostingState.PENDING
