"""Every kind of problem: the status it is answered with, and what it means in a sentence.

The status follows from the reason, which the contracts document; what has no entry is a mistake
that a test finds.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from services.kernel.errors import Reason


class Kind(NamedTuple):
    """A kind of problem."""

    status: int
    title: str


_BAD = HTTPStatus.BAD_REQUEST
_STATE = HTTPStatus.CONFLICT
_POLICY = HTTPStatus.UNPROCESSABLE_ENTITY
_AWAY = HTTPStatus.SERVICE_UNAVAILABLE

KINDS: Final[Mapping[Reason, Kind]] = {
    Reason.INVALID_ARGUMENT: Kind(_BAD, "A field breaks a rule"),
    Reason.BODY_MALFORMED: Kind(_BAD, "The body cannot be read"),
    Reason.ID_MALFORMED: Kind(_BAD, "An id is not of its form"),
    Reason.AMOUNT_MISSING: Kind(_BAD, "There is no amount"),
    Reason.AMOUNT_INVALID: Kind(_BAD, "The amount cannot be paid"),
    Reason.CURRENCY_UNKNOWN: Kind(_BAD, "The currency is not known"),
    Reason.METHOD_UNKNOWN: Kind(_BAD, "The payment method is not known"),
    Reason.CARD_NUMBER_PRESENT: Kind(_BAD, "A field holds card data"),
    Reason.PAGE_TOKEN_INVALID: Kind(_BAD, "The cursor was not made by this list for these filters"),
    Reason.IDEMPOTENCY_KEY_MISSING: Kind(_BAD, "The idempotency key is empty"),
    Reason.IDEMPOTENCY_KEY_MISMATCH: Kind(_BAD, "Two idempotency keys differ"),
    Reason.TRANSACTION_UNBALANCED: Kind(_BAD, "The entries do not sum to zero"),
    Reason.ACCOUNT_MALFORMED: Kind(_BAD, "The name of an account is not of its form"),
    Reason.CONFIG_INVALID: Kind(_BAD, "The merchant's configuration breaks a rule"),
    Reason.URL_FORBIDDEN: Kind(_BAD, "The address is one that may not be named"),
    Reason.DEADLINE_REQUIRED: Kind(_BAD, "The call has no deadline"),
    Reason.EVIDENCE_REQUIRED: Kind(_BAD, "What would prove it is missing"),
    Reason.MESSAGE_TOO_LARGE: Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
    Reason.NOT_FOUND: Kind(HTTPStatus.NOT_FOUND, "There is nothing here that you may see"),
    Reason.CONFIG_VERSION_NOT_FOUND: Kind(
        _POLICY, "The merchant has no configuration to plan payments by"
    ),
    Reason.PROCESSOR_NOT_FOUND: Kind(_POLICY, "No processor has that id"),
    Reason.IDEMPOTENCY_IN_FLIGHT: Kind(_STATE, "The first call with this key is still running"),
    Reason.IDEMPOTENCY_KEY_REUSED: Kind(_POLICY, "The key was used with another request"),
    Reason.ALREADY_EXISTS: Kind(_STATE, "It exists already"),
    Reason.STALE_VERSION: Kind(_STATE, "It has changed since it was read"),
    Reason.ILLEGAL_STATE_TRANSITION: Kind(_STATE, "The payment's state does not allow that"),
    Reason.AUTHORIZED_AMOUNT_EXCEEDED: Kind(_STATE, "More than what is held"),
    Reason.REFUND_HEADROOM_EXCEEDED: Kind(_STATE, "More than what is left to return"),
    Reason.ALREADY_REFUNDED: Kind(_STATE, "All of it has been returned"),
    Reason.NOT_CAPTURED: Kind(_STATE, "Nothing was captured"),
    Reason.PAYMENT_IN_DOUBT: Kind(_STATE, "What the processor did is being looked up"),
    Reason.PAYMENT_NOT_IN_DOUBT: Kind(_STATE, "Nothing of the payment is in doubt"),
    Reason.NO_CANDIDATE: Kind(_POLICY, "No processor can take the payment"),
    Reason.SPLIT_IMPOSSIBLE: Kind(_POLICY, "The steps cannot make up the amount"),
    Reason.POLICY_VIOLATED: Kind(_POLICY, "The merchant's policy forbids the payment"),
    Reason.ACTION_EXPIRED: Kind(_STATE, "The customer's time to act has passed"),
    Reason.MERCHANT_SUSPENDED: Kind(HTTPStatus.FORBIDDEN, "The merchant is suspended"),
    Reason.LEDGER_REJECTED: Kind(_POLICY, "The ledger refused the posting"),
    Reason.AMOUNT_OVERFLOW: Kind(_POLICY, "A sum is larger than an amount can hold"),
    Reason.UNAUTHENTICATED: Kind(HTTPStatus.UNAUTHORIZED, "The API key is missing or not taken"),
    Reason.SIGNATURE_INVALID: Kind(HTTPStatus.UNAUTHORIZED, "The signature does not hold"),
    Reason.PERMISSION_DENIED: Kind(HTTPStatus.FORBIDDEN, "The API key does not allow that"),
    Reason.QUEUE_FULL: Kind(_AWAY, "Too much work waits already"),
    Reason.RATE_LIMITED: Kind(HTTPStatus.TOO_MANY_REQUESTS, "The limit is used up for now"),
    Reason.DATABASE_UNAVAILABLE: Kind(_AWAY, "The database cannot be reached"),
    Reason.DATABASE_BUSY: Kind(_AWAY, "The database is busy"),
    Reason.SERVICE_UNAVAILABLE: Kind(_AWAY, "A service cannot be reached"),
    Reason.SHUTTING_DOWN: Kind(_AWAY, "The platform is about to stop"),
    Reason.BROKER_UNAVAILABLE: Kind(_AWAY, "The message broker cannot be reached"),
    Reason.PROCESSOR_UNAVAILABLE: Kind(_AWAY, "The processor cannot be reached"),
    Reason.DEADLINE_EXCEEDED: Kind(
        HTTPStatus.GATEWAY_TIMEOUT, "It is not decided yet; ask again with the same key"
    ),
    Reason.INTERNAL: Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "The platform is at fault"),
}

METHOD_NOT_ALLOWED: Final = Kind(
    HTTPStatus.METHOD_NOT_ALLOWED, "The address does not take this method"
)

# A decline is a problem too: its code is the payment's error code.
DECLINES: Final[Mapping[str, str]] = {
    "timeout": "The processor did not answer in time",
    "declined": "The card was declined",
    "insufficient_funds": "The account does not hold enough",
    "expired_card": "The card has expired",
    "invalid_card": "The card or one of its details is wrong",
    "authentication_required": "The customer did not authenticate",
    "rate_limited": "The processor took no more requests",
    "network_failure": "The processor was not reached",
    "processing_error": "The processor failed",
    "unknown": "The processor gave another reason",
}
