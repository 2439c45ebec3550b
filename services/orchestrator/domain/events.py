"""What happens to a payment, as the world is told of it."""

from dataclasses import dataclass
from datetime import datetime

from services.kernel.context import PaymentMethod, ValidationIssue
from services.kernel.errors import Reason
from services.kernel.events import DomainEvent
from services.kernel.ids import AttemptId, DisputeId, PostingId, RefundId, RequestId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Redirect
from services.orchestrator.domain.state import Operation


@dataclass(frozen=True, slots=True)
class FinalError:
    """The error that decided a payment."""

    code: ErrorCode
    decline_code: str
    user_message: str
    step_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCreated(DomainEvent):
    """A payment is wanted."""

    amount: Money
    method: PaymentMethod
    user_id: str | None
    issues: tuple[ValidationIssue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentActionRequired(DomainEvent):
    """A payment waits for its customer."""

    redirect: Redirect
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAuthorized(DomainEvent):
    """A payment's amount is held."""

    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCaptured(DomainEvent):
    """A payment's amount was taken, and what was held beyond it released."""

    amount: Money
    released: Money
    platform_fee: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(DomainEvent):
    """A payment failed for good."""

    error: FinalError


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentVoided(DomainEvent):
    """A payment's hold is gone."""

    amount: Money
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCompleted(DomainEvent):
    """A payment's plan was carried out with success."""

    total: Money
    request_id: RequestId


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentInDoubt(DomainEvent):
    """What a processor did is not known."""

    attempt_id: AttemptId
    processor_id: str
    operation: Operation
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentPostingRejected(DomainEvent):
    """A posting needs a person."""

    posting_id: PostingId
    idempotency_key: str
    amount: Money
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSucceeded(DomainEvent):
    """A step's amount is held."""

    step_index: int
    processor_id: str
    latency_ms: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(DomainEvent):
    """A step failed at a processor; another may still be tried."""

    step_index: int
    processor_id: str
    error_code: ErrorCode
    is_retryable: bool
    latency_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentConfirmRequested(DomainEvent):
    """A worker is to carry the payment out: a command, the only one among these."""

    payment_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRefunded(DomainEvent):
    """A part of a payment was returned, or all of it."""

    refund_id: RefundId
    amount: Money
    fee_returned: Money
    total_refunded: Money
    is_full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRefundFailed(DomainEvent):
    """A part of a refund was not paid out and is free again."""

    refund_id: RefundId
    amount: Money
    error: FinalError


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDisputed(DomainEvent):
    """A customer disputes a payment."""

    dispute_id: DisputeId
    amount: Money
    excess: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDisputeClosed(DomainEvent):
    """The bank has decided a dispute."""

    dispute_id: DisputeId
    amount: Money
    is_won: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDoubtSettled(DomainEvent):
    """What a processor did has become known."""

    attempt_id: AttemptId
    outcome: Outcome
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceededLate(DomainEvent):
    """A success came after the payment had failed or gone on without it; it is given back."""

    attempt_id: AttemptId
    processor_id: str
    operation: Operation
    amount: Money
