"""/v1/payment_intents: create, confirm, capture, cancel and their like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sandbox.domain import confirmations, currencies, payment_intents, payment_methods
from sandbox.domain.confirmations import Confirmation
from sandbox.domain.payment_intents import CONFIRMABLE, PaymentIntent
from sandbox.domain.work import merged_metadata
from sandbox.errors import InvalidRequest, Refused
from sandbox.listing import column, list_page
from sandbox.resources import payment_intent_parameters as parameters
from sandbox.resources.payment_methods import create_from
from sandbox.routing import Call, Listing, Route

# From this version on, allowed_payment_method_types takes the place of payment_method_types.
_WITHOUT_METHOD_TYPES: Final = "2026-09-30"

# Parameters that are kept as they come, under their own names.
_PLAIN: Final = (
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "payment_method_options",
    "capture_method",
)


def _create(call: Call) -> PaymentIntent:
    work, params = call.work, call.params
    currency = currencies.check_currency(params["currency"])
    currencies.check_amount(params["amount"], currency)
    if not params.get("confirm"):
        _refuse_confirmation_parameters(params)
    _check_customer(call)
    identity = work.identity(PaymentIntent)
    intent = PaymentIntent(
        **identity,
        amount=params["amount"],
        currency=currency,
        client_secret=payment_intents.client_secret(work, identity["id"], identity["sequence"]),
        confirmation_method=params.get("confirmation_method", "automatic"),
        allow_redirects=_redirects(params, _named_types(call)),
        payment_method_types=_named_types(call) or ("card",),
        allowed_payment_method_types=params.get("allowed_payment_method_types"),
        return_url=params.get("return_url"),
        metadata=merged_metadata({}, params.get("metadata", {})),
        **call.given(*_PLAIN),
    )
    intent = _with_method(call, work.put(intent))
    work.emit("payment_intent.created", intent)
    return _confirm_as_asked(call, intent) if params.get("confirm") else intent


def _refuse_confirmation_parameters(params: dict[str, Any]) -> None:
    for name in ("error_on_requires_action", "off_session", "return_url"):
        if name in params:
            raise InvalidRequest(f"{name} can only be used with confirm=true.", param=name)


def _check_customer(call: Call) -> None:
    if call.params.get("customer") is not None:
        payment_methods.live_customer(call.work, call.params["customer"])


def _named_types(call: Call) -> tuple[str, ...] | None:
    """The payment method types a request names, under the name its version has for them."""
    params = call.params
    if "payment_method_types" not in params:
        types: tuple[str, ...] | None = params.get("allowed_payment_method_types")
        # Types that cannot be used are left out in silence, unless nothing would remain.
        if types is None or "card" in types:
            return None if types is None else ("card",)
        raise _not_enabled(types, "allowed_payment_method_types")
    if call.api_version >= _WITHOUT_METHOD_TYPES:
        raise InvalidRequest(
            "payment_method_types can no longer be set; use allowed_payment_method_types.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    if unusable := tuple(name for name in params["payment_method_types"] if name != "card"):
        raise _not_enabled(unusable, "payment_method_types")
    return ("card",)


def _not_enabled(types: tuple[str, ...], param: str) -> InvalidRequest:
    named = types[0][:40] if types else "none"
    return InvalidRequest(
        f"The payment method type {named!r} is not enabled; the sandbox has card.", param=param
    )


def _redirects(params: dict[str, Any], named_types: tuple[str, ...] | None) -> str | None:
    automatic = params.get("automatic_payment_methods", {"enabled": True})
    if named_types is None:
        return automatic.get("allow_redirects", "always") if automatic["enabled"] else None
    if "automatic_payment_methods" in params and automatic["enabled"]:
        raise InvalidRequest(
            "automatic_payment_methods cannot be used when the types are named.",
            param="automatic_payment_methods",
        )
    return None


def _with_method(call: Call, intent: PaymentIntent) -> PaymentIntent:
    work, params = call.work, call.params
    if "payment_method_data" in params:
        method = create_from(call, params["payment_method_data"], param="payment_method_data")
        return confirmations.choose_method(work, intent, method)
    if "payment_method" in params:
        method = payment_methods.resolve(work, params["payment_method"])
        return confirmations.choose_method(work, intent, method)
    return intent


def _confirm_as_asked(call: Call, intent: PaymentIntent) -> PaymentIntent:
    how = Confirmation(
        return_url=call.params.get("return_url"),
        off_session=call.params.get("off_session", "false") != "false",
        error_on_requires_action=call.params.get("error_on_requires_action", False),
    )
    return confirmations.confirm(call.work, intent, how)


def _get(call: Call) -> PaymentIntent:
    return call.work.get(PaymentIntent, call.id, param="intent")


def _update(call: Call) -> PaymentIntent:
    intent, params = _get(call), call.params
    if intent.state not in CONFIRMABLE and set(params) - {"metadata", "description", "expand"}:
        raise Refused(
            f"This PaymentIntent is {intent.state}; only its metadata and description can change.",
            code=payment_intents.UNEXPECTED_STATE,
            entity=intent,
        )
    currency = currencies.check_currency(params.get("currency", intent.currency))
    amount = params.get("amount", intent.amount)
    currencies.check_amount(amount, currency)
    _check_customer(call)
    _named_types(call)
    changes = call.given(*_PLAIN)
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent.metadata, params["metadata"])
    changed = replace(intent, amount=amount, currency=currency, **changes)
    return _with_method(call, call.work.put(changed))


def _confirm(call: Call) -> PaymentIntent:
    intent = _get(call)
    if intent.state in CONFIRMABLE:
        _named_types(call)
        if changes := call.given(*_PLAIN):
            intent = call.work.put(replace(intent, **changes))
        intent = _with_method(call, intent)
    return _confirm_as_asked(call, intent)


def _capture(call: Call) -> PaymentIntent:
    intent = _get(call)
    if "metadata" in call.params:
        metadata = merged_metadata(intent.metadata, call.params["metadata"])
        intent = replace(intent, metadata=metadata)
    if call.params.get("final_capture") is False:
        raise InvalidRequest(
            "Multicapture is not available for this PaymentIntent.", param="final_capture"
        )
    return payment_intents.capture(call.work, intent, call.params.get("amount_to_capture"))


def _cancel(call: Call) -> PaymentIntent:
    return payment_intents.cancel(call.work, _get(call), call.params.get("cancellation_reason"))


def _list(call: Call) -> Listing:
    return list_page(call, PaymentIntent, filters={"customer": column("customer")})


ROUTES: Final = (
    Route("POST", "payment_intents", "payment_intents.create", parameters.CREATE, _create),
    Route("GET", "payment_intents/{id}", "payment_intents.retrieve", parameters.RETRIEVE, _get),
    Route("POST", "payment_intents/{id}", "payment_intents.update", parameters.UPDATE, _update),
    Route(
        "POST",
        "payment_intents/{id}/confirm",
        "payment_intents.confirm",
        parameters.CONFIRM,
        _confirm,
    ),
    Route(
        "POST",
        "payment_intents/{id}/capture",
        "payment_intents.capture",
        parameters.CAPTURE,
        _capture,
    ),
    Route(
        "POST", "payment_intents/{id}/cancel", "payment_intents.cancel", parameters.CANCEL, _cancel
    ),
    Route("GET", "payment_intents", "payment_intents.list", parameters.LIST, _list),
)
