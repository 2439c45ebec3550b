"""What a failure means: for the breaker, for another try, and for another processor."""

from enum import Enum, auto
from typing import Final

from services.kernel.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    SwitchyardError,
    Unauthenticated,
)
from services.kernel.outcome import ErrorCode, Outcome
from services.router.domain.attempt import Answer, Operation


class Signal(Enum):
    """What an answer says about the processor itself."""

    ALIVE = auto()
    DOWN = auto()
    NEITHER = auto()


# The processor was not reached, or what it answered was lost.
_UNREACHED: Final = frozenset({ErrorCode.TIMEOUT, ErrorCode.NETWORK_FAILURE})

_ELSEWHERE: Final = frozenset(
    {
        ErrorCode.TIMEOUT,
        ErrorCode.NETWORK_FAILURE,
        ErrorCode.RATE_LIMITED,
        ErrorCode.PROCESSING_ERROR,
    }
)
# What a processor has a word of its own for, if any.
_UNNAMED: Final = frozenset({ErrorCode.PROCESSING_ERROR, ErrorCode.UNKNOWN})
# The cardholder's bank would say the same to every processor, or must not be asked again.
_HARD_DECLINES: Final = frozenset(
    {
        "card_not_supported",
        "fraudulent",
        "lost_card",
        "merchant_blacklist",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "stolen_card",
        "stop_payment_order",
    }
)

_REFUSALS: Final = (
    InvalidArgument,
    NotFound,
    FailedPrecondition,
    PermissionDenied,
    Unauthenticated,
)
# Whoever answers this has not begun.
_NOT_BEGUN: Final = frozenset({Reason.SHUTTING_DOWN, Reason.QUEUE_FULL})


def signal_of(operation: Operation, answer: Answer) -> Signal:
    """Whether the processor is up, which a decline proves as well as a success."""
    code = answer.error_code
    if code in _UNREACHED:
        return Signal.DOWN
    if code is ErrorCode.RATE_LIMITED:
        return Signal.NEITHER
    if operation is Operation.LOOKUP:
        # Having found nothing is an answer too.
        return Signal.ALIVE
    if answer.outcome is Outcome.UNKNOWN:
        return Signal.DOWN
    if code is ErrorCode.PROCESSING_ERROR and answer.is_retryable:
        return Signal.DOWN
    return Signal.ALIVE


def failover_rule(answer: Answer, *, on_soft_decline: bool) -> str | None:
    """The rule by which another processor may be tried; None where none may."""
    if answer.outcome is not Outcome.FAILED:
        return None
    if answer.error_code in _ELSEWHERE:
        return f"failover.{answer.error_code}"
    is_soft = answer.error_code is ErrorCode.DECLINED and answer.decline_code not in _HARD_DECLINES
    return "failover.soft_decline" if is_soft and on_soft_decline else None


def says_nothing_of_before(answer: Answer) -> bool:
    """Whether a failure is one of this sending alone: what was sent before may have succeeded.

    A verdict on the card is one on both, since a key that was seen gets its first answer again. So
    is what the processor has a word of its own for: it knows the payment, and how it ended.
    """
    is_on_card = answer.error_code not in {*_ELSEWHERE, ErrorCode.UNKNOWN, None}
    is_word = answer.error_code in _UNNAMED and bool(answer.decline_code)
    return answer.outcome is Outcome.FAILED and not is_on_card and not is_word


def answer_for_error(processor_id: str, operation: Operation, error: SwitchyardError) -> Answer:
    """What it means for the attempt that ProcessorService itself failed to answer."""
    if operation is not Operation.LOOKUP and error.reason in _NOT_BEGUN:
        return Answer(
            processor_id,
            Outcome.FAILED,
            ErrorCode.NETWORK_FAILURE,
            is_retryable=True,
            message=f"nothing was sent: {error.message}",
        )
    if operation is not Operation.LOOKUP and isinstance(error, _REFUSALS):
        message = f"nothing was sent: {error.message}"
        return Answer(processor_id, Outcome.FAILED, ErrorCode.PROCESSING_ERROR, message=message)
    # The request may have gone on to the processor; of a lookup nothing else can ever be said.
    return Answer(processor_id, Outcome.UNKNOWN, ErrorCode.TIMEOUT, message=error.message)


def held_off(processor_id: str) -> Answer:
    """What is answered for a processor to which nothing was sent because it is down."""
    return Answer(
        processor_id,
        Outcome.FAILED,
        ErrorCode.NETWORK_FAILURE,
        is_retryable=True,
        message="nothing was sent: the circuit breaker is open",
    )


def out_of_time(processor_id: str) -> Answer:
    """What is answered where there was no time to send anything."""
    return Answer(
        processor_id,
        Outcome.FAILED,
        ErrorCode.TIMEOUT,
        is_retryable=True,
        message="nothing was sent: there was no time left",
    )


def in_doubt(processor_id: str, message: str) -> Answer:
    """What is answered where an earlier sending may have succeeded and it may not be repeated."""
    return Answer(processor_id, Outcome.UNKNOWN, ErrorCode.TIMEOUT, message=message)
