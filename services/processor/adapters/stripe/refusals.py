"""What Stripe's errors mean: which of them settle an attempt, and which leave it open."""

from collections.abc import Mapping
from typing import Any, Final

from services.kernel.outcome import ErrorCode
from services.processor.adapters.stripe.answers import raw, word
from services.processor.adapters.stripe.api import Answer
from services.processor.domain.verdict import Misfit, Verdict, failed, unknown

UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"
_NOT_FOUND: Final = 404
_IN_FLIGHT: Final = 409
_TOO_MANY: Final = 429
_SERVER_TROUBLE: Final = 500

# By decline code first, which says more, then by error code.
_CODES: Final[Mapping[str, ErrorCode]] = {
    "insufficient_funds": ErrorCode.INSUFFICIENT_FUNDS,
    "withdrawal_count_limit_exceeded": ErrorCode.INSUFFICIENT_FUNDS,
    "expired_card": ErrorCode.EXPIRED_CARD,
    "authentication_required": ErrorCode.AUTHENTICATION_REQUIRED,
    "authentication_not_handled": ErrorCode.AUTHENTICATION_REQUIRED,
    "payment_intent_authentication_failure": ErrorCode.AUTHENTICATION_REQUIRED,
    "offline_pin_required": ErrorCode.AUTHENTICATION_REQUIRED,
    "online_or_offline_pin_required": ErrorCode.AUTHENTICATION_REQUIRED,
    "incorrect_number": ErrorCode.INVALID_CARD,
    "invalid_number": ErrorCode.INVALID_CARD,
    "incorrect_cvc": ErrorCode.INVALID_CARD,
    "invalid_cvc": ErrorCode.INVALID_CARD,
    "incorrect_zip": ErrorCode.INVALID_CARD,
    "incorrect_address": ErrorCode.INVALID_CARD,
    "incorrect_pin": ErrorCode.INVALID_CARD,
    "invalid_expiry_month": ErrorCode.INVALID_CARD,
    "invalid_expiry_year": ErrorCode.INVALID_CARD,
    "invalid_account": ErrorCode.INVALID_CARD,
    "new_account_information_available": ErrorCode.INVALID_CARD,
    "processing_error": ErrorCode.PROCESSING_ERROR,
    "issuer_not_available": ErrorCode.PROCESSING_ERROR,
    "try_again_later": ErrorCode.PROCESSING_ERROR,
    "reenter_transaction": ErrorCode.PROCESSING_ERROR,
    "card_declined": ErrorCode.DECLINED,
}
_INSTRUMENT_PARAMETERS: Final = ("payment_method", "card", "token")


def refusal(answer: Answer, reference: str | None = None) -> Verdict:
    """What an answer other than an object means for a request that moves money."""
    error = answer.error
    if answer.status == _TOO_MANY:
        return failed(ErrorCode.RATE_LIMITED, retryable=True, reference=reference, raw=raw(answer))
    if answer.status == _IN_FLIGHT or answer.status >= _SERVER_TROUBLE:
        return unknown(ErrorCode.PROCESSING_ERROR, reference=reference, raw=raw(answer))
    if not error:
        raise Misfit(
            f"the answer (HTTP {answer.status}) is neither an object nor an error of Stripe's",
            reference=reference,
            raw=raw(answer),
        )
    if error["type"] == "idempotency_error":
        # Whatever was sent with this key before may have succeeded.
        raise Misfit("the key was used for another request", reference=reference, raw=raw(answer))
    if answer.status not in (400, 401, 402, 403, 404):
        return unknown(ErrorCode.PROCESSING_ERROR, reference=reference, raw=raw(answer))
    kind = word(error["type"])
    # A request that makes no sense to Stripe never will, and not every one of them has a code.
    word_for_it = native_reason(error) or (None if kind == "card_error" else kind)
    return failed(
        _code(answer, error),
        # Being turned away at the door says nothing about the payment.
        decline_code=None if is_of_this_request_alone(answer) else word_for_it,
        reference=reference,
        raw=raw(answer),
    )


def is_over(answer: Answer) -> bool:
    """Whether this is the stored answer of a request that ended in Stripe's own trouble.

    Stripe replays its 500 for as long as it keeps the key: the request is no longer under way, and
    what it did can be read from the object.
    """
    return answer.status >= _SERVER_TROUBLE and answer.is_replay


def over_for_good(answer: Answer) -> Verdict:
    """What was asked, and ended in Stripe's trouble with nothing done, never will be."""
    word_for_it = native_reason(answer.error) or word(answer.error.get("type"))
    return failed(
        ErrorCode.PROCESSING_ERROR, decline_code=word_for_it or "api_error", raw=raw(answer)
    )


def is_of_this_request_alone(answer: Answer) -> bool:
    """Whether an earlier request with the same key may have gone another way.

    Who is now another account, or in another mode, does not find what was there before.
    """
    is_elsewhere = answer.status == _NOT_FOUND and not _is_about_instrument(answer.error)
    return is_elsewhere or answer.status in (_TOO_MANY, 401, 403)


def is_unexpected_state(answer: Answer) -> bool:
    """Whether the object was not in a state to be asked this."""
    return answer.error.get("code") == UNEXPECTED_STATE


def error_code(error: Mapping[str, Any]) -> ErrorCode:
    """The normalised code of a decline, from an answer or from an object's last error."""
    for name in ("decline_code", "code"):
        known = _CODES.get(word(error.get(name)) or "")
        # A generic code beside a decline code that is not in the table still means a decline.
        if known is not None:
            return known
    return ErrorCode.DECLINED if error.get("type") == "card_error" else ErrorCode.UNKNOWN


def native_reason(error: Mapping[str, Any]) -> str | None:
    """Stripe's own word for why not."""
    return word(error.get("decline_code")) or word(error.get("code"))


def _code(answer: Answer, error: Mapping[str, Any]) -> ErrorCode:
    if answer.status in (401, 403):
        return ErrorCode.PROCESSING_ERROR
    if error["type"] == "card_error":
        return error_code(error)
    if _is_about_instrument(error):
        return ErrorCode.INVALID_CARD
    return error_code(error)


def _is_about_instrument(error: Mapping[str, Any]) -> bool:
    return (word(error.get("param")) or "").startswith(_INSTRUMENT_PARAMETERS)
