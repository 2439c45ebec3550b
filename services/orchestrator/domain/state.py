"""Where payments and their parts stand, and which moves of a payment there are."""

from collections.abc import Mapping
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from services.kernel.errors import FailedPrecondition


@unique
class PaymentState(StrEnum):
    """Where a payment stands; it only ever moves forward."""

    CREATED = "created"
    CONFIRMING = "confirming"
    FAILED = "failed"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    VOIDED = "voided"


@unique
class StepState(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    IN_DOUBT = "in_doubt"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    VOIDED = "voided"
    REFUNDED = "refunded"
    SKIPPED = "skipped"


@unique
class AttemptState(StrEnum):
    """Where an attempt stands."""

    OPEN = "open"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    IN_DOUBT = "in_doubt"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@unique
class RefundState(StrEnum):
    """Where a refund, or one part of it, stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@unique
class DisputeState(StrEnum):
    """Where a dispute stands; the bank decides."""

    OPENED = "opened"
    WON = "won"
    LOST = "lost"


@unique
class PostingState(StrEnum):
    """How far the ledger has followed; NONE is said of a payment alone."""

    NONE = "none"
    PENDING = "pending"
    POSTED = "posted"
    NEEDS_RECONCILIATION = "needs_reconciliation"


@unique
class Operation(StrEnum):
    """What an attempt asks of a processor."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


# The database holds the same pairs in payments.allowed_moves.
ALLOWED_MOVES: Final[Mapping[PaymentState, frozenset[PaymentState]]] = MappingProxyType(
    {
        PaymentState.CREATED: frozenset({PaymentState.CONFIRMING}),
        PaymentState.CONFIRMING: frozenset({PaymentState.FAILED, PaymentState.AUTHORIZED}),
        PaymentState.AUTHORIZED: frozenset({PaymentState.CAPTURED, PaymentState.VOIDED}),
        PaymentState.CAPTURED: frozenset({PaymentState.REFUNDED, PaymentState.DISPUTED}),
        PaymentState.FAILED: frozenset(),
        PaymentState.REFUNDED: frozenset(),
        PaymentState.DISPUTED: frozenset(),
        PaymentState.VOIDED: frozenset(),
    }
)


def check_move(before: PaymentState, after: PaymentState) -> None:
    """Raise FailedPrecondition unless the move is one of the pairs."""
    allowed = ALLOWED_MOVES[before]
    if after in allowed:
        return
    words = " or ".join(state.name for state in PaymentState if state in allowed) or "nothing"
    raise FailedPrecondition(
        f"a payment in {before.name} cannot become {after.name}; from there it can become {words}",
        details={"state": before.name, "allowed": words},
    )
