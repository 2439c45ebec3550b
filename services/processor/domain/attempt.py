"""An attempt: one order to one processor, as it was committed before anyone was called."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

from services.kernel.context import PaymentInstrument, PaymentMethod
from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId, StepId
from services.kernel.money import Money

# Adapters lengthen a key by the name of a request, and Stripe takes 255 characters.
MAX_KEY_CHARACTERS: Final = 200
MAX_REFERENCE_CHARACTERS: Final = 255


@unique
class Operation(StrEnum):
    """A thing that a processor can be asked to do."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    LOOKUP = "lookup"
    LIST_EVENTS = "list_events"


MOVES_MONEY: Final = frozenset(
    {Operation.AUTHORIZE, Operation.CAPTURE, Operation.VOID, Operation.REFUND}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """All that an adapter needs to carry an order out, and to look it up later."""

    id: AttemptId
    payment_id: PaymentId
    step_id: StepId
    merchant_id: MerchantId
    processor_id: str
    operation: Operation
    amount: Money
    instrument: PaymentInstrument | None = None
    hold: str | None = None
    """The processor's own id of what it holds, such as "pi_…"."""
    refund_id: RefundId | None = None
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    key_expires_at: datetime | None = None
    capture_at_once: bool = False
    """Whether the amount may be taken with the hold, in one request."""

    def __post_init__(self) -> None:
        violations = list(self._violations())
        if violations:
            raise InvalidArgument("the attempt cannot be carried out", violations=violations)

    @property
    def instrument_method(self) -> PaymentMethod | None:
        return self.instrument.method if self.instrument else None

    def is_key_forgotten(self, now: datetime) -> bool:
        """Whether the processor may no longer know the key, so that sending could do it twice."""
        return self.key_expires_at is not None and now >= self.key_expires_at

    def _violations(self) -> Iterator[FieldViolation]:
        if self.operation not in MOVES_MONEY:
            yield _violation("operation", "moves_money", "must be one that moves money")
        if not self.amount.is_positive:
            yield _violation("amount", "positive", "must be more than zero")
        if self.operation is Operation.AUTHORIZE:
            if self.instrument is None or self.instrument.token is None:
                yield _violation("instrument.token", "present", "is needed to authorize")
        elif self.hold is None:
            yield _violation("processor_reference", "present", f"is needed to {self.operation}")
        if self.hold is not None and not is_reference(self.hold):
            yield _violation("processor_reference", "plain", "is no id of a processor's")
        if self.capture_at_once and self.operation is not Operation.AUTHORIZE:
            yield _violation("capture_at_once", "authorizing", "goes with authorizing alone")
        if self.operation is Operation.REFUND and self.refund_id is None:
            yield _violation("refund_id", "present", "is needed to refund")


def checked_key(key: str) -> str:
    """The idempotency key, or why it is none."""
    if not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable()):
        message = f"must have 1 to {MAX_KEY_CHARACTERS} printable ASCII characters"
        violation = FieldViolation("idempotency_key", "idempotency_key.plain", message)
        raise InvalidArgument(f"the idempotency key {message}", violations=[violation])
    return key


def is_reference(text: str) -> bool:
    """Whether a text can be a processor's id: one that could not would change the path it is in."""
    plain = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return plain and len(text) <= MAX_REFERENCE_CHARACTERS


def _violation(name: str, rule: str, message: str) -> FieldViolation:
    return FieldViolation(f"attempt.{name}", f"attempt.{name}.{rule}", message)
