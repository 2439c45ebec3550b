"""What became of an attempt: the result words that processor, router and orchestrator share."""

from enum import StrEnum, unique


@unique
class Outcome(StrEnum):
    """How one attempt at one processor ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REQUIRES_ACTION = "requires_action"
    # The processor took the order and tells later how it ended, as with some refunds.
    PENDING = "pending"
    # It may have happened: it is looked up, never failed over.
    UNKNOWN = "unknown"


@unique
class ErrorCode(StrEnum):
    """Why a processor did not do what it was asked, in the same words for every processor."""

    TIMEOUT = "timeout"
    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    INVALID_CARD = "invalid_card"
    AUTHENTICATION_REQUIRED = "authentication_required"
    RATE_LIMITED = "rate_limited"
    NETWORK_FAILURE = "network_failure"
    PROCESSING_ERROR = "processing_error"
    UNKNOWN = "unknown"

    @property
    def user_message(self) -> str:
        """What the customer is told."""
        return _USER_MESSAGES[self]

    @property
    def is_retryable(self) -> bool:
        """Whether another try may end otherwise, unless the adapter knows better.

        It speaks of a failure that is certain: a timeout that leaves the outcome UNKNOWN is looked
        up whatever this says.
        """
        return self in _RETRYABLE


_USER_MESSAGES = {
    ErrorCode.TIMEOUT: "Payment took too long to process. Please try again",
    ErrorCode.DECLINED: "Card declined. Please use another card",
    ErrorCode.INSUFFICIENT_FUNDS: "Card declined due to insufficient funds",
    ErrorCode.EXPIRED_CARD: "Card expired. Please use a valid card",
    ErrorCode.INVALID_CARD: "Card details are not valid. Please check them or use another card",
    ErrorCode.AUTHENTICATION_REQUIRED: "Card needs authentication. Please confirm with your bank",
    ErrorCode.RATE_LIMITED: "Too many payments at the moment. Please try again shortly",
    ErrorCode.NETWORK_FAILURE: "Payment provider could not be reached. Please try again",
    ErrorCode.PROCESSING_ERROR: "Payment processing failed. Please try again",
    ErrorCode.UNKNOWN: "Payment failed. Please use another payment method",
}

_RETRYABLE = frozenset(
    {
        ErrorCode.TIMEOUT,
        ErrorCode.RATE_LIMITED,
        ErrorCode.NETWORK_FAILURE,
        ErrorCode.PROCESSING_ERROR,
    }
)
