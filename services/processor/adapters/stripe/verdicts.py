"""What the state of Stripe's objects says of an attempt.

The same state means different things to those who have just been answered and to those who look up:
an intent that nobody has confirmed is a failure once its confirmation is over, and says nothing
while it may still be on its way.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.kernel.money import Money
from services.kernel.outcome import ErrorCode, Outcome
from services.processor.adapters.stripe.answers import Intent, Refund
from services.processor.adapters.stripe.refusals import error_code, native_reason
from services.processor.domain.verdict import Misfit, Verdict, failed, unknown

Raw = Mapping[str, object]

_ANSWERED: Final = {
    # It was held, and has been captured since.
    "succeeded": Outcome.SUCCEEDED,
    "requires_action": Outcome.REQUIRES_ACTION,
    "processing": Outcome.PENDING,
}
_NOT_CONFIRMED: Final = ("requires_payment_method", "requires_confirmation")
_NOT_CAPTURED: Final = (*_NOT_CONFIRMED, "requires_action", "requires_capture", "processing")


def authorization(intent: Intent, raw: Raw) -> Verdict:
    """What became of an authorization whose intent this is."""
    if intent.capture_method != "manual":
        raise Misfit("asked to hold, the answer captures by itself", reference=intent.id, raw=raw)
    if intent.state == "requires_capture":
        return _held(intent, raw)
    return _asked_for(intent, raw)


def charge(intent: Intent, raw: Raw) -> Verdict:
    """What became of an authorization that was to take the amount at once."""
    if intent.capture_method != "automatic":
        raise Misfit("asked to take it, the answer only holds it", reference=intent.id, raw=raw)
    if intent.state == "succeeded":
        return replace(
            _done(Outcome.SUCCEEDED, intent, intent.received, raw), captured=intent.received
        )
    return _asked_for(intent, raw)


def _asked_for(intent: Intent, raw: Raw) -> Verdict:
    if intent.state in _ANSWERED:
        return _done(_ANSWERED[intent.state], intent, intent.amount, raw)
    is_refused = intent.state == "requires_payment_method" and intent.last_error is not None
    if is_refused or intent.state == "canceled":
        return _not_authorized(intent, raw)
    if intent.state in _NOT_CONFIRMED:
        return unknown(ErrorCode.PROCESSING_ERROR, reference=intent.id, raw=raw)
    raise _strange(intent, raw)


def capture(intent: Intent, raw: Raw) -> Verdict:
    """What became of a capture of this intent."""
    if intent.state == "succeeded":
        return _done(Outcome.SUCCEEDED, intent, intent.received, raw)
    if intent.state == "canceled":
        return _refused(intent, raw)
    if intent.state in _NOT_CAPTURED:
        return unknown(ErrorCode.PROCESSING_ERROR, reference=intent.id, raw=raw)
    raise _strange(intent, raw)


def void(intent: Intent, raw: Raw) -> Verdict:
    """What became of a void of this intent; a hold that is gone already counts as released."""
    if intent.state == "canceled":
        return _done(Outcome.SUCCEEDED, intent, intent.amount, raw)
    if intent.state == "succeeded":
        return replace(_refused(intent, raw), captured=intent.received)
    if intent.state in _NOT_CAPTURED:
        return unknown(ErrorCode.PROCESSING_ERROR, reference=intent.id, raw=raw)
    raise _strange(intent, raw)


def refund(found: Refund, raw: Raw) -> Verdict:
    """What became of a refund."""
    match found.state:
        case "succeeded":
            outcome = Outcome.SUCCEEDED
        case "pending" | "requires_action":
            outcome = Outcome.PENDING
        case "failed" | "canceled":
            return failed(
                ErrorCode.PROCESSING_ERROR,
                decline_code=found.failure_reason or found.state,
                reference=found.id,
                echo=found.echo,
                raw=raw,
            )
        case _:
            raise Misfit(
                f"the refund is in a state we do not know: {found.state or 'none'}",
                reference=found.id,
                raw=raw,
            )
    return Verdict(outcome=outcome, echo=found.echo, reference=found.id, raw=raw)


def settled(intent: Intent, verdict: Verdict) -> Verdict:
    """The verdict once the request is known to be over: what it has not done it will not do."""
    if verdict.outcome is not Outcome.UNKNOWN or intent.state == "processing":
        return verdict
    return failed(
        ErrorCode.PROCESSING_ERROR,
        decline_code=intent.state,
        reference=intent.id,
        raw=verdict.raw,
    )


def _done(outcome: Outcome, intent: Intent, amount: Money, raw: Raw) -> Verdict:
    return Verdict(
        outcome=outcome,
        echo=intent.echo(amount),
        reference=intent.id,
        redirect=intent.redirect if outcome is Outcome.REQUIRES_ACTION else None,
        fee=intent.fee,
        raw=raw,
    )


def _held(intent: Intent, raw: Raw) -> Verdict:
    if intent.capturable != intent.amount:
        raise Misfit("only a part of the amount is held", reference=intent.id, raw=raw)
    return _done(Outcome.SUCCEEDED, intent, intent.capturable, raw)


def _not_authorized(intent: Intent, raw: Raw) -> Verdict:
    error = intent.last_error
    return failed(
        error_code(error) if error else ErrorCode.PROCESSING_ERROR,
        decline_code=native_reason(error) if error else intent.state,
        reference=intent.id,
        echo=intent.echo(intent.amount),
        raw=raw,
    )


def _refused(intent: Intent, raw: Raw) -> Verdict:
    return failed(
        ErrorCode.PROCESSING_ERROR, decline_code=intent.state, reference=intent.id, raw=raw
    )


def _strange(intent: Intent, raw: Raw) -> Misfit:
    state = intent.state or "none"
    return Misfit(
        f"the payment intent is in a state we do not know: {state}", reference=intent.id, raw=raw
    )
