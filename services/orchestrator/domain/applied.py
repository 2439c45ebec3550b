"""What processors tell unasked, and what it did to a payment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from services.kernel.ids import AttemptId, MerchantId, PaymentId, WebhookEventId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode


@unique
class FactKind(StrEnum):
    """A kind of fact that a processor tells unasked."""

    IGNORED = "ignored"
    ACTION_REQUIRED = "action_required"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CAPTURED = "captured"
    CANCELED = "canceled"
    REFUND_PENDING = "refund_pending"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_FUNDS_WITHDRAWN = "dispute_funds_withdrawn"
    DISPUTE_FUNDS_REINSTATED = "dispute_funds_reinstated"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


@unique
class Disposition(StrEnum):
    """What an event did to a payment."""

    APPLIED = "applied"
    KNOWN = "known"
    STALE = "stale"
    UNMATCHED = "unmatched"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """One fact as one processor tells it; telling it twice changes nothing."""

    id: str
    processor_id: str
    kind: FactKind
    native_type: str
    occurred_at: datetime
    attempt_id: AttemptId | None
    reference: str | None
    """The processor's own id of the hold that it is about."""
    object_id: str | None
    """The processor's own id of the thing that changed, such as a refund."""
    amount: Money | None
    fee: Money | None
    error_code: ErrorCode | None
    native_reason: str
    webhook_event_id: WebhookEventId | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What hearing an event came to, in a word and in a sentence for people."""

    disposition: Disposition
    message: str
    is_alarming: bool = False
    """Whether a person has to look, because what it tells and what stands do not agree."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an event; without a payment there is none that it belongs to, or not yet."""

    heard: Heard
    payment_id: PaymentId | None = None
    merchant_id: MerchantId | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class AppliedEvent:
    """An event that was matched to a payment, and what it did."""

    event: ProcessorEvent
    disposition: Disposition
    message: str
    applied_at: datetime
