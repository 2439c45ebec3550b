"""The closed family of errors that every part of Switchyard raises and nothing else translates.

A rule that is broken raises one of the classes below where it is broken. The class says what kind
of trouble it is (one per gRPC status), the reason says which rule, and only the edge turns them
into a status or an HTTP problem. Programmer errors are assertions and do not belong here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique
from typing import ClassVar, final


@unique
class Reason(StrEnum):
    """Which rule was broken: payments.core.v1.ErrorReason, which documents each with an example."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    BODY_MALFORMED = "BODY_MALFORMED"
    ID_MALFORMED = "ID_MALFORMED"
    AMOUNT_MISSING = "AMOUNT_MISSING"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    CURRENCY_UNKNOWN = "CURRENCY_UNKNOWN"
    METHOD_UNKNOWN = "METHOD_UNKNOWN"
    CARD_NUMBER_PRESENT = "CARD_NUMBER_PRESENT"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"  # noqa: S105 -- a reason, not a secret
    IDEMPOTENCY_KEY_MISSING = "IDEMPOTENCY_KEY_MISSING"
    IDEMPOTENCY_KEY_MISMATCH = "IDEMPOTENCY_KEY_MISMATCH"
    TRANSACTION_UNBALANCED = "TRANSACTION_UNBALANCED"
    ACCOUNT_MALFORMED = "ACCOUNT_MALFORMED"
    CONFIG_INVALID = "CONFIG_INVALID"
    URL_FORBIDDEN = "URL_FORBIDDEN"
    DEADLINE_REQUIRED = "DEADLINE_REQUIRED"
    EVIDENCE_REQUIRED = "EVIDENCE_REQUIRED"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"

    NOT_FOUND = "NOT_FOUND"
    CONFIG_VERSION_NOT_FOUND = "CONFIG_VERSION_NOT_FOUND"
    PROCESSOR_NOT_FOUND = "PROCESSOR_NOT_FOUND"

    IDEMPOTENCY_IN_FLIGHT = "IDEMPOTENCY_IN_FLIGHT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    STALE_VERSION = "STALE_VERSION"

    ILLEGAL_STATE_TRANSITION = "ILLEGAL_STATE_TRANSITION"
    AUTHORIZED_AMOUNT_EXCEEDED = "AUTHORIZED_AMOUNT_EXCEEDED"
    REFUND_HEADROOM_EXCEEDED = "REFUND_HEADROOM_EXCEEDED"
    ALREADY_REFUNDED = "ALREADY_REFUNDED"
    NOT_CAPTURED = "NOT_CAPTURED"
    PAYMENT_IN_DOUBT = "PAYMENT_IN_DOUBT"
    PAYMENT_NOT_IN_DOUBT = "PAYMENT_NOT_IN_DOUBT"
    NO_CANDIDATE = "NO_CANDIDATE"
    SPLIT_IMPOSSIBLE = "SPLIT_IMPOSSIBLE"
    POLICY_VIOLATED = "POLICY_VIOLATED"
    ACTION_EXPIRED = "ACTION_EXPIRED"
    MERCHANT_SUSPENDED = "MERCHANT_SUSPENDED"
    LEDGER_REJECTED = "LEDGER_REJECTED"
    AMOUNT_OVERFLOW = "AMOUNT_OVERFLOW"

    UNAUTHENTICATED = "UNAUTHENTICATED"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    PERMISSION_DENIED = "PERMISSION_DENIED"

    QUEUE_FULL = "QUEUE_FULL"
    RATE_LIMITED = "RATE_LIMITED"

    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    DATABASE_BUSY = "DATABASE_BUSY"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    BROKER_UNAVAILABLE = "BROKER_UNAVAILABLE"
    PROCESSOR_UNAVAILABLE = "PROCESSOR_UNAVAILABLE"

    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that broke one rule: `amount`, `amount.positive`, a sentence for the caller."""

    field: str
    rule: str
    message: str


class SwitchyardError(Exception):
    """What all of the family share; raise one of the subclasses, never this."""

    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        violations: Sequence[FieldViolation] = (),
        details: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = self.default_reason if reason is None else reason
        self.violations = tuple(violations)
        self.details = dict(details or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        fields = "; ".join(f"{v.field}: {v.message} ({v.rule})" for v in self.violations)
        return f"{self.message} [{self.reason}]" + (f": {fields}" if fields else "")


@final
class InvalidArgument(SwitchyardError):
    """The request has no meaning whatever the state of the system; sending it again is no use."""

    default_reason = Reason.INVALID_ARGUMENT


@final
class NotFound(SwitchyardError):
    """There is no such thing, or it belongs to another merchant, who must not learn which."""

    default_reason = Reason.NOT_FOUND


@final
class Conflict(SwitchyardError):
    """What was to be made exists already and is not the same."""

    default_reason = Reason.ALREADY_EXISTS


@final
class InFlight(SwitchyardError):
    """Another call is at work on the same thing, or got there first; read again, then retry."""

    default_reason = Reason.IDEMPOTENCY_IN_FLIGHT


@final
class FailedPrecondition(SwitchyardError):
    """The request is sound, but what it acts on is in no state to allow it."""

    default_reason = Reason.ILLEGAL_STATE_TRANSITION


@final
class PermissionDenied(SwitchyardError):
    """The caller is known and may not do this."""

    default_reason = Reason.PERMISSION_DENIED


@final
class Unauthenticated(SwitchyardError):
    """The caller has not proven who they are."""

    default_reason = Reason.UNAUTHENTICATED


@final
class ResourceExhausted(SwitchyardError):
    """A limit is used up, the caller's or the system's; `retry_after` says when to come back."""

    default_reason = Reason.RATE_LIMITED


@final
class Unavailable(SwitchyardError):
    """Something this depends on cannot be reached now; the same call may succeed later."""

    default_reason = Reason.SERVICE_UNAVAILABLE


@final
class DeadlineExceeded(SwitchyardError):
    """Time ran out before the outcome was known; it may or may not have happened."""

    default_reason = Reason.DEADLINE_EXCEEDED


@final
class Internal(SwitchyardError):
    """Something that must not happen did; the message is for operators, not for the caller."""

    default_reason = Reason.INTERNAL


def invalid_field(field: str, rule: str, message: str) -> InvalidArgument:
    """The refusal of one field: the message goes on where its name ends."""
    return InvalidArgument(f"{field} {message}", violations=[FieldViolation(field, rule, message)])
