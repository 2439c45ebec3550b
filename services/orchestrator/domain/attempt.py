"""Steps and attempts: the parts of a payment in which something is asked of a processor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.kernel.context import PaymentInstrument
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId, RefundPartId, StepId
from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.kernel.retry import RetryPolicy
from services.orchestrator.domain.state import AttemptState, Operation, StepState

# An hour short of what processors keep their keys for, so that no clock of theirs is ahead of it.
KEY_WINDOW: Final = timedelta(hours=23)

# Without a word of the processor's own these say that it was not reached, or not heard.
_UNDECIDED: Final = frozenset(
    {
        None,
        ErrorCode.TIMEOUT,
        ErrorCode.NETWORK_FAILURE,
        ErrorCode.RATE_LIMITED,
        ErrorCode.PROCESSING_ERROR,
        ErrorCode.UNKNOWN,
    }
)
_SETTLED: Final = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED})
_FIRST_LOOKUP: Final = timedelta(seconds=2)
_LONGEST_PAUSE: Final = timedelta(minutes=2)
_DOUBLINGS_MAX: Final = 6
# At two minutes each that is a week; after it only a person or an event settles the attempt.
LOOKUPS_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the customer's browser must go, and where it comes back to."""

    url: str
    return_url: str


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of sending an attempt; `record` is all that was told, to explain it later."""

    outcome: Outcome
    reference: str | None = None
    error_code: ErrorCode | None = None
    decline_code: str = ""
    user_message: str = ""
    is_retryable: bool = False
    latency_ms: int = 0
    redirect: Redirect | None = None
    failover_to: str | None = None
    amount: Money | None = None
    """What was taken, where the processor says so; None for what was asked."""
    captured: Money | None = None
    """What is taken: with the hold, or before it could be released; None where nothing is."""
    record: bytes = field(default=b"", repr=False)

    @property
    def is_refusal(self) -> bool:
        """Whether the processor has decided against it, and was not merely out of reach."""
        is_decided = bool(self.decline_code) or self.error_code not in _UNDECIDED
        return self.outcome is Outcome.FAILED and not self.is_retryable and is_decided


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an operator found out about an attempt that could not be looked up."""

    outcome: Outcome
    reference: str | None
    source: str
    operator: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One order to one processor; it is committed before anyone is called, and keeps its key."""

    id: AttemptId
    step_id: StepId
    number: int
    operation: Operation
    processor_id: str
    amount: Money
    hold: str | None
    idempotency_key: str
    created_at: datetime
    state: AttemptState = AttemptState.OPEN
    reference: str | None = None
    """The processor's own id of what the attempt made there."""
    part_id: RefundPartId | None = None
    """The part of a refund that it pays out."""
    late: bool = False
    """Whether it gives back what succeeded after the payment had failed or gone on without it."""
    capture_at_once: bool = False
    """Whether it may take its amount with the hold."""
    lookups: int = 0
    look_up_at: datetime | None = None
    evidence: Evidence | None = None
    execution: Execution | None = None
    settled_at: datetime | None = None

    @property
    def key_expires_at(self) -> datetime:
        """When the processor may forget the key, so that sending again could do it twice."""
        return self.created_at + KEY_WINDOW

    @property
    def is_settled(self) -> bool:
        return self.state in _SETTLED

    @property
    def next_lookup_pause(self) -> timedelta | None:
        """How long to wait before it is looked up once more; None when that was done enough."""
        if self.lookups >= LOOKUPS_MAX:
            return None
        return min(_FIRST_LOOKUP * (1 << min(self.lookups, _DOUBLINGS_MAX)), _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Order:
    """An attempt with all that the router needs to carry it out."""

    attempt: Attempt
    payment_id: PaymentId
    merchant_id: MerchantId
    instrument: PaymentInstrument
    return_url: str | None
    metadata: Mapping[str, str]
    timeout: timedelta
    retry_policy: RetryPolicy
    alternatives: tuple[str, ...]
    failover_on_soft_decline: bool
    refund_id: RefundId | None
    sent_before: bool = False
    """Whether somebody may have sent it already: then only a definite answer ends it."""
    traceparent: str | None = None
    """The recorded trace of its payment."""


# A hold that could not be released may still stand.
_HOLDING: Final = frozenset({StepState.AUTHORIZED, StepState.IN_DOUBT, StepState.FAILED})


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a payment, and what has become of its amount."""

    id: StepId
    index: int
    amount: Money
    state: StepState
    authorized: Money
    captured: Money
    refunded: Money
    reserved: Money
    """What refunds that have not ended yet may return."""
    disputed: Money
    excess: Money
    """What the processor returned or withdrew beyond what was captured."""
    platform_fee: Money
    fee_returned: Money
    processor_id: str | None = None
    processor_reference: str | None = None
    error_code: ErrorCode | None = None
    is_retryable: bool = False
    latency_ms: int = 0

    @classmethod
    def planned(cls, index: int, amount: Money) -> "Step":
        """A step for which nothing was done yet."""
        zero = Money.zero(amount.currency)
        return cls(
            id=StepId.new(),
            index=index,
            amount=amount,
            state=StepState.PENDING,
            authorized=zero,
            captured=zero,
            refunded=zero,
            reserved=zero,
            disputed=zero,
            excess=zero,
            platform_fee=zero,
            fee_returned=zero,
        )

    @property
    def is_taken(self) -> bool:
        """Whether some of it was captured, whatever became of that."""
        return self.captured.is_positive

    @property
    def held(self) -> Money:
        """What is held and not taken; a capture releases the rest of its hold."""
        if self.state in _HOLDING and not self.is_taken:
            return self.authorized
        return Money.zero(self.amount.currency)

    @property
    def processed(self) -> Money:
        """What it holds or has taken."""
        return self.held + self.captured

    @property
    def refundable(self) -> Money:
        """What may still be asked back: captured, and neither returned, reserved nor disputed."""
        left = self.captured + self.excess - self.refunded - self.reserved - self.disputed
        return max(left, Money.zero(self.amount.currency))

    @property
    def overdrawn(self) -> Money:
        """What was returned, is being returned and is disputed beyond what was captured."""
        claimed = self.refunded + self.reserved + self.disputed
        return max(claimed - self.captured, Money.zero(self.amount.currency))

    @property
    def fee_kept(self) -> Money:
        """What the platform charged, less what refunds gave back."""
        return self.platform_fee - self.fee_returned
