"""The tokens that the simulated processor knows, named as Stripe names its test cards."""

from enum import Enum, auto, unique
from typing import Final

from services.kernel.outcome import ErrorCode

_PREFIXES: Final = ("pm_card_", "tok_applePay_", "tok_")


@unique
class Behaviour(Enum):
    """What a card does beside being charged."""

    PAYS = auto()
    ASKS_FOR_AUTHENTICATION = auto()
    REFUNDS_SLOWLY = auto()


Decline = tuple[ErrorCode, str]

_PAYING: Final = frozenset(
    {"visa", "visa_debit", "mastercard", "amex", "discover", "diners", "jcb", "unionpay"}
)
_BEHAVIOURS: Final = {
    "threeDSecure2Required": Behaviour.ASKS_FOR_AUTHENTICATION,
    "threeDSecureRequired": Behaviour.ASKS_FOR_AUTHENTICATION,
    "authenticationRequired": Behaviour.ASKS_FOR_AUTHENTICATION,
    "pendingRefund": Behaviour.REFUNDS_SLOWLY,
}
_DECLINES: Final[dict[str, Decline]] = {
    "chargeDeclined": (ErrorCode.DECLINED, "generic_decline"),
    "chargeDeclinedLostCard": (ErrorCode.DECLINED, "lost_card"),
    "chargeDeclinedStolenCard": (ErrorCode.DECLINED, "stolen_card"),
    "chargeDeclinedFraudulent": (ErrorCode.DECLINED, "fraudulent"),
    "chargeDeclinedInsufficientFunds": (ErrorCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
    "chargeDeclinedExpiredCard": (ErrorCode.EXPIRED_CARD, "expired_card"),
    "chargeDeclinedIncorrectCvc": (ErrorCode.INVALID_CARD, "incorrect_cvc"),
    "chargeDeclinedProcessingError": (ErrorCode.PROCESSING_ERROR, "processing_error"),
}
_NO_SUCH_CARD: Final[Decline] = (ErrorCode.INVALID_CARD, "resource_missing")


def read_token(token: str) -> Behaviour | Decline:
    """What the card behind a token does; a token of another form is any customer's good card."""
    prefix = next((known for known in _PREFIXES if token.startswith(known)), None)
    if prefix is None:
        return Behaviour.PAYS if token.startswith("pm_") else _NO_SUCH_CARD
    name = token.removeprefix(prefix)
    if name in _PAYING:
        return Behaviour.PAYS
    # Stripe names some declining cards with their network and some without.
    name = name.removeprefix("visa_")
    return _BEHAVIOURS.get(name) or _DECLINES.get(name) or _NO_SUCH_CARD
