"""How a payment intent is shown, its next action and its last error included."""

from __future__ import annotations

from sandbox.domain.payment_intents import PaymentError, PaymentIntent, State
from sandbox.shapes import Json, View, shape, shapes


def authentication_url(intent: PaymentIntent, view: View) -> str:
    """The page on which the customer authenticates."""
    token = intent.client_secret.rpartition("_")[2]
    return f"{view.public_url}/3d_secure/{intent.id}/{token}"


def _next_action(intent: PaymentIntent, view: View) -> Json | None:
    if intent.state is not State.REQUIRES_ACTION:
        return None
    url = authentication_url(intent, view)
    if intent.return_url is not None:
        return {
            "redirect_to_url": {"return_url": intent.return_url, "url": url},
            "type": "redirect_to_url",
        }
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
    }


def _error_shape(error: PaymentError | None, view: View) -> Json | None:
    if error is None:
        return None
    fields = {
        "charge": error.charge,
        "code": error.code,
        "decline_code": error.decline_code,
        "message": error.message,
        "payment_method": shape(error.payment_method, view),
        "type": error.type,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _allowed_types(intent: PaymentIntent) -> Json:
    if intent.allowed_payment_method_types is None:
        return {}
    return {"allowed_payment_method_types": list(intent.allowed_payment_method_types)}


@shapes(PaymentIntent)
def payment_intent_shape(intent: PaymentIntent, view: View) -> Json:
    """A payment intent as Stripe shows it."""
    automatic = None
    if intent.allow_redirects is not None:
        automatic = {"allow_redirects": intent.allow_redirects, "enabled": True}
    return {
        "id": intent.id,
        "object": "payment_intent",
        **_allowed_types(intent),
        "amount": intent.amount,
        "amount_capturable": intent.amount_capturable,
        "amount_details": {"tip": {}},
        "amount_received": intent.amount_received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": intent.confirmation_method,
        "created": intent.created,
        "currency": intent.currency,
        "customer": intent.customer,
        "customer_account": None,
        "description": intent.description,
        "excluded_payment_method_types": None,
        "last_payment_error": _error_shape(intent.last_payment_error, view),
        "latest_charge": intent.latest_charge,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": intent.metadata,
        "next_action": _next_action(intent, view),
        "on_behalf_of": None,
        "payment_method": intent.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": intent.payment_method_options or {"card": {}},
        "payment_method_types": list(intent.payment_method_types),
        "processing": None,
        "receipt_email": intent.receipt_email,
        "review": None,
        "setup_future_usage": intent.setup_future_usage,
        "shipping": intent.shipping,
        "source": None,
        "statement_descriptor": intent.statement_descriptor,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix,
        "status": intent.state,
        "transfer_data": None,
        "transfer_group": intent.transfer_group,
    }
