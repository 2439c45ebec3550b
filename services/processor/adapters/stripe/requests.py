"""What an attempt says to Stripe: the fields of each request, and what is left with it."""

from typing import Any, Final

from services.kernel.context import TRACE_METADATA_KEY
from services.processor.adapters.stripe.answers import ATTEMPT_KEY, PAYMENT_KEY, REFUND_KEY
from services.processor.adapters.stripe.currency import to_stripe
from services.processor.domain.attempt import Attempt

# What an answer about an intent is to hold besides it.
EXPAND: Final = ["latest_charge.balance_transaction"]
_MAX_METADATA_ENTRIES: Final = 50


def method_params(token: str) -> dict[str, Any]:
    """A payment method of a one-time token."""
    return {"type": "card", "card": {"token": token}}


def intent_params(attempt: Attempt, token: str) -> dict[str, Any]:
    """The intent of an authorization; whether confirming it takes the amount is said here."""
    return {
        "amount": to_stripe(attempt.amount),
        "currency": attempt.amount.currency.code.lower(),
        "payment_method": token,
        "capture_method": "automatic" if attempt.capture_at_once else "manual",
        "allowed_payment_method_types": ["card"],
        "metadata": _metadata(attempt),
    }


def confirmation_params(return_url: str | None) -> dict[str, Any]:
    """The confirmation of an intent, whose customer comes back to the URL if there is one."""
    params: dict[str, Any] = {"expand": EXPAND}
    if return_url:
        params["return_url"] = return_url
    else:
        # A customer who cannot come back cannot be sent away: this must end, not wait.
        params["error_on_requires_action"] = True
    return params


def capture_params(attempt: Attempt) -> dict[str, Any]:
    """Taking the attempt's amount of what is held."""
    return {"amount_to_capture": to_stripe(attempt.amount), "expand": EXPAND}


def refund_params(attempt: Attempt, intent_id: str) -> dict[str, Any]:
    """Returning the attempt's amount of what the intent took."""
    return {
        "payment_intent": intent_id,
        "amount": to_stripe(attempt.amount),
        "metadata": _metadata(attempt),
    }


def _metadata(attempt: Attempt) -> dict[str, str]:
    """What is left with Stripe: our ids first, then as much of the merchant's own as fits."""
    ours: dict[str, str] = {ATTEMPT_KEY: attempt.id, PAYMENT_KEY: attempt.payment_id}
    if traceparent := attempt.metadata.get(TRACE_METADATA_KEY):
        ours[TRACE_METADATA_KEY] = traceparent
    if attempt.refund_id is not None:
        return {**ours, REFUND_KEY: attempt.refund_id}
    theirs = [
        (name, value)
        for name, value in sorted(attempt.metadata.items())
        # Stripe reads brackets as nesting, and an empty value as one to delete.
        if name not in ours and value and "[" not in name and "]" not in name
    ]
    return {**ours, **dict(theirs[: _MAX_METADATA_ENTRIES - len(ours)])}
