"""What a payment owes to the ledger: entries that are fixed when the money moved."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from services.kernel.errors import Reason, SwitchyardError
from services.kernel.ids import LedgerTransactionId, MerchantId, PaymentId, PostingId
from services.kernel.money import Money
from services.orchestrator.domain.attempt import Attempt, Step
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.refund import RefundPart
from services.orchestrator.domain.state import PostingState

MAX_TRIES: Final = 12
_FIRST_PAUSE: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(minutes=1)
_DOUBLINGS_MAX: Final = 10
# What the ledger answers for a while; any other refusal would be the same the next time.
_PASSING: Final = frozenset(
    {
        Reason.QUEUE_FULL,
        Reason.RATE_LIMITED,
        Reason.DATABASE_UNAVAILABLE,
        Reason.DATABASE_BUSY,
        Reason.SERVICE_UNAVAILABLE,
        Reason.SHUTTING_DOWN,
        Reason.DEADLINE_EXCEEDED,
        Reason.UNAUTHENTICATED,
        Reason.INTERNAL,
    }
)


@unique
class PostingKind(StrEnum):
    """What a posting books."""

    CAPTURE = "capture"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"
    DISPUTE_WITHDRAWAL = "dispute_withdrawal"
    DISPUTE_REINSTATEMENT = "dispute_reinstatement"
    DISPUTE_LOSS = "dispute_loss"
    DISPUTE_FEE = "dispute_fee"
    LATE_SUCCESS = "late_success"
    LATE_SUCCESS_REVERSAL = "late_success_reversal"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one account gains, or loses when negative."""

    account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction that the ledger is to write once, under the posting's own key."""

    id: PostingId
    payment_id: PaymentId
    kind: PostingKind
    idempotency_key: str
    amount: Money
    entries: tuple[Entry, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DuePosting:
    """A posting whose turn it is, for the so-manieth time."""

    id: PostingId
    payment_id: PaymentId
    idempotency_key: str
    amount: Money
    entries: tuple[Entry, ...]
    try_count: int
    traceparent: str | None = None
    """The recorded trace of its payment."""

    @property
    def kind(self) -> str:
        """What it books, as its key begins."""
        return self.idempotency_key.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Booked:
    """The ledger has it."""

    transaction_id: LedgerTransactionId
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the ledger has it not."""

    reason: Reason
    message: str

    @property
    def is_final(self) -> bool:
        """Whether asking again is of no use."""
        return self.reason not in _PASSING


@dataclass(frozen=True, slots=True)
class RetrySelection:
    """Which of the postings that were given up are tried again; None is whatever it is."""

    ids: tuple[PostingId, ...] | None = None
    merchant_id: MerchantId | None = None
    payment_id: PaymentId | None = None


@dataclass(frozen=True, slots=True)
class RetryOrder:
    """An operator's order to try postings again."""

    idempotency_key: str
    selection: RetrySelection
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """One time that a posting was tried again by order, and how it had stood until then."""

    operator: str
    reason: str
    asked_at: datetime
    try_count: int
    refusal: Refusal | None


def capture_posting(
    payment_id: PaymentId, merchant_id: MerchantId, step: Step, created_at: datetime
) -> Posting:
    """The processor took the step's amount for us; we owe it to the merchant less our fee."""
    return Posting(
        id=PostingId.new(),
        payment_id=payment_id,
        kind=PostingKind.CAPTURE,
        idempotency_key=f"capture:{step.id}",
        amount=step.captured,
        entries=_present(
            Entry(f"processor:{step.processor_id}:clearing", -step.captured),
            Entry(f"merchant:{merchant_id}:payable", step.captured - step.platform_fee),
            Entry("platform:fees", step.platform_fee),
        ),
        created_at=created_at,
    )


def refund_posting(
    payment_id: PaymentId, merchant_id: MerchantId, part: RefundPart, created_at: datetime
) -> Posting:
    """The processor paid a part of a refund out; the fee goes back with it in proportion."""
    return Posting(
        id=PostingId.new(),
        payment_id=payment_id,
        kind=PostingKind.REFUND,
        idempotency_key=f"refund:{part.id}",
        amount=part.amount,
        entries=_present(
            Entry(f"processor:{part.processor_id}:clearing", part.amount),
            Entry(f"merchant:{merchant_id}:payable", part.fee_returned - part.amount),
            Entry("platform:fees", -part.fee_returned),
        ),
        created_at=created_at,
    )


def late_success_posting(
    payment_id: PaymentId, attempt: Attempt, amount: Money, created_at: datetime
) -> Posting:
    """Money came for a payment that had failed or gone on without it: nobody's for now."""
    return Posting(
        id=PostingId.new(),
        payment_id=payment_id,
        kind=PostingKind.LATE_SUCCESS,
        idempotency_key=f"late_success:{attempt.id}",
        amount=amount,
        entries=_present(
            Entry(f"processor:{attempt.processor_id}:clearing", -amount),
            Entry("platform:unclaimed", amount),
        ),
        created_at=created_at,
    )


def late_success_reversal_posting(
    payment_id: PaymentId, attempt: Attempt, amount: Money, created_at: datetime
) -> Posting:
    """Such money was given back, by this attempt."""
    return Posting(
        id=PostingId.new(),
        payment_id=payment_id,
        kind=PostingKind.LATE_SUCCESS_REVERSAL,
        idempotency_key=f"late_success_returned:{attempt.id}",
        amount=amount,
        entries=_present(
            Entry(f"processor:{attempt.processor_id}:clearing", amount),
            Entry("platform:unclaimed", -amount),
        ),
        created_at=created_at,
    )


def refund_reversal_posting(
    payment_id: PaymentId,
    merchant_id: MerchantId,
    part: RefundPart,
    fee_due: Money,
    created_at: datetime,
) -> Posting:
    """What a refund had paid out came back, and with it what of the fee is due again."""
    return Posting(
        id=PostingId.new(),
        payment_id=payment_id,
        kind=PostingKind.REFUND_REVERSAL,
        idempotency_key=f"refund_returned:{part.id}",
        amount=part.amount,
        entries=_present(
            Entry(f"processor:{part.processor_id}:clearing", -part.amount),
            Entry(f"merchant:{merchant_id}:payable", part.amount - fee_due),
            Entry("platform:fees", fee_due),
        ),
        created_at=created_at,
    )


def dispute_posting(
    payment_id: PaymentId,
    merchant_id: MerchantId,
    dispute: Dispute,
    kind: PostingKind,
    created_at: datetime,
) -> Posting:
    """What one fact about a dispute moves; the chart in docs/ledger.md shows each."""
    key, amount, gains, loses = {
        PostingKind.DISPUTE_WITHDRAWAL: ("opened", dispute.amount, "processor", "disputed"),
        PostingKind.DISPUTE_REINSTATEMENT: ("won", dispute.amount, "disputed", "processor"),
        PostingKind.DISPUTE_LOSS: ("lost", dispute.amount, "disputed", "payable"),
        PostingKind.DISPUTE_FEE: ("fee", dispute.fee, "processor", "payable"),
    }[kind]
    accounts = {
        "processor": f"processor:{dispute.processor_id}:clearing",
        "disputed": f"merchant:{merchant_id}:disputed",
        "payable": f"merchant:{merchant_id}:payable",
    }
    return Posting(
        id=PostingId.new(),
        payment_id=payment_id,
        kind=kind,
        idempotency_key=f"dispute_{key}:{dispute.id}",
        amount=amount,
        entries=(Entry(accounts[gains], amount), Entry(accounts[loses], -amount)),
        created_at=created_at,
    )


def refusal_of(error: SwitchyardError) -> Refusal:
    """What it means for a posting that LedgerService itself failed to answer."""
    return Refusal(error.reason, error.message)


def pause_after(try_count: int) -> timedelta:
    """How long a posting waits after so many tries that failed."""
    doublings = min(try_count - 1, _DOUBLINGS_MAX)
    return min(_FIRST_PAUSE * (1 << doublings), _LONGEST_PAUSE)


def state_of_all(states: Iterable[PostingState]) -> PostingState:
    """How far the ledger has followed a payment: as far as the posting that is worst off."""
    found = set(states)
    for state in (PostingState.NEEDS_RECONCILIATION, PostingState.PENDING, PostingState.POSTED):
        if state in found:
            return state
    return PostingState.NONE


def _present(*entries: Entry) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if not entry.amount.is_zero)
