"""/v1/payment_intents: create, confirm, capture, cancel and their like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sandbox.domain import currencies, payment_intents, payment_methods
from sandbox.domain.payment_intents import CONFIRMABLE, Confirmation, PaymentIntent
from sandbox.domain.work import merged_metadata
from sandbox.errors import InvalidRequest, Refused
from sandbox.listing import column, list_page
from sandbox.parameters import (
    SHIPPING,
    Anything,
    Boolean,
    Choice,
    Fields,
    Integer,
    ListOf,
    Metadata,
    Parameter,
    Text,
    listing,
    operation,
)
from sandbox.resources.payment_methods import NEW_METHOD, create_from
from sandbox.routing import Call, Listing, Route

_CAPTURE_METHODS: Final = Choice(("automatic", "automatic_async", "manual"))
_FUTURE_USAGE: Final = Choice(("off_session", "on_session"), unsettable=True)

_AUTOMATIC_METHODS: Final = Fields(
    {"enabled": Boolean(), "allow_redirects": Choice(("always", "never"))}, required=("enabled",)
)
_NEW_METHOD: Final = Fields(NEW_METHOD | {"radar_options": Anything()}, required=("type",))

_CARD_OPTIONS: Final = Fields(
    {
        "request_three_d_secure": Choice(("any", "automatic", "challenge")),
        "moto": Anything(),
        "network": Anything(),
        "setup_future_usage": Anything(),
        "statement_descriptor_suffix_kana": Anything(),
        "statement_descriptor_suffix_kanji": Anything(),
    }
)

# What Stripe takes and the sandbox has no use for.
_WITHOUT_EFFECT: Final[dict[str, Parameter]] = {
    name: Anything()
    for name in (
        "amount_details",
        "application_fee_amount",
        "excluded_payment_method_types",
        "mandate",
        "mandate_data",
        "payment_details",
        "radar_options",
        "transfer_data",
        "use_stripe_sdk",
    )
}
_EVERYWHERE: Final[dict[str, Parameter]] = _WITHOUT_EFFECT | {
    "payment_method": Text(unsettable=False),
    "payment_method_data": _NEW_METHOD,
    "payment_method_options": Fields({"card": _CARD_OPTIONS}),
    "payment_method_types": ListOf(Text(unsettable=False)),
    "receipt_email": Text(),
    "setup_future_usage": _FUTURE_USAGE,
    "shipping": SHIPPING,
    "capture_method": _CAPTURE_METHODS,
}
_DESCRIPTION: Final[dict[str, Parameter]] = {
    "customer": Text(),
    "description": Text(1000),
    "metadata": Metadata(),
    "statement_descriptor": Text(22),
    "statement_descriptor_suffix": Text(22),
    "transfer_group": Text(),
}
_CONFIRMING: Final[dict[str, Parameter]] = {
    "return_url": Text(unsettable=False),
    "off_session": Choice(("true", "false", "one_off", "recurring")),
    "error_on_requires_action": Boolean(),
}
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
    "payment_method_types",
    "capture_method",
)


def _create(call: Call) -> PaymentIntent:
    work, params = call.work, call.params
    currency = currencies.check_currency(params["currency"])
    currencies.check_amount(params["amount"], currency)
    if not params.get("confirm"):
        _refuse_confirmation_parameters(params)
    _check_customer_and_types(call)
    identity = work.identity(PaymentIntent)
    intent = PaymentIntent(
        **identity,
        amount=params["amount"],
        currency=currency,
        client_secret=payment_intents.client_secret(work, identity["id"], identity["sequence"]),
        confirmation_method=params.get("confirmation_method", "automatic"),
        allow_redirects=_redirects(params),
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


def _check_customer_and_types(call: Call) -> None:
    if call.params.get("customer") is not None:
        payment_methods.live_customer(call.work, call.params["customer"])
    types = call.params.get("payment_method_types", ("card",))
    if unsupported := [name for name in types if name != "card"]:
        raise InvalidRequest(
            f"The payment method type {unsupported[0][:40]!r} is not enabled;"
            " the sandbox has card.",
            param="payment_method_types",
        )


def _redirects(params: dict[str, Any]) -> str | None:
    automatic = params.get("automatic_payment_methods", {"enabled": True})
    if "payment_method_types" in params:
        if "automatic_payment_methods" in params and automatic["enabled"]:
            raise InvalidRequest(
                "automatic_payment_methods and payment_method_types cannot be used together.",
                param="automatic_payment_methods",
            )
        return None
    return automatic.get("allow_redirects", "always") if automatic["enabled"] else None


def _with_method(call: Call, intent: PaymentIntent) -> PaymentIntent:
    work, params = call.work, call.params
    if "payment_method_data" in params:
        method = create_from(call, params["payment_method_data"], param="payment_method_data")
        return payment_intents.choose_method(work, intent, method)
    if "payment_method" in params:
        method = payment_methods.resolve(work, params["payment_method"])
        return payment_intents.choose_method(work, intent, method)
    return intent


def _confirm_as_asked(call: Call, intent: PaymentIntent) -> PaymentIntent:
    how = Confirmation(
        return_url=call.params.get("return_url"),
        off_session=call.params.get("off_session", "false") != "false",
        error_on_requires_action=call.params.get("error_on_requires_action", False),
    )
    return payment_intents.confirm(call.work, intent, how)


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
    _check_customer_and_types(call)
    changes = call.given(*_PLAIN)
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent.metadata, params["metadata"])
    changed = replace(intent, amount=amount, currency=currency, **changes)
    return _with_method(call, call.work.put(changed))


def _confirm(call: Call) -> PaymentIntent:
    intent = _get(call)
    if intent.state in CONFIRMABLE:
        _check_customer_and_types(call)
        changed = replace(intent, **call.given(*_PLAIN))
        intent = _with_method(call, call.work.put(changed))
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
    Route(
        "POST",
        "payment_intents",
        "payment_intents.create",
        operation(
            _EVERYWHERE,
            _DESCRIPTION,
            _CONFIRMING,
            required=("amount", "currency"),
            amount=Integer(1),
            currency=Text(unsettable=False),
            confirm=Boolean(),
            confirmation_method=Choice(("automatic", "manual")),
            automatic_payment_methods=_AUTOMATIC_METHODS,
            on_behalf_of=Anything(),
            payment_method_configuration=Anything(),
        ),
        _create,
    ),
    Route(
        "GET",
        "payment_intents/{id}",
        "payment_intents.retrieve",
        operation(client_secret=Text()),
        _get,
    ),
    Route(
        "POST",
        "payment_intents/{id}",
        "payment_intents.update",
        operation(_EVERYWHERE, _DESCRIPTION, amount=Integer(1), currency=Text(unsettable=False)),
        _update,
    ),
    Route(
        "POST",
        "payment_intents/{id}/confirm",
        "payment_intents.confirm",
        operation(_EVERYWHERE, _CONFIRMING),
        _confirm,
    ),
    Route(
        "POST",
        "payment_intents/{id}/capture",
        "payment_intents.capture",
        operation(
            amount_to_capture=Integer(1),
            final_capture=Boolean(),
            metadata=Metadata(),
            statement_descriptor=Text(22),
            statement_descriptor_suffix=Text(22),
            application_fee_amount=Anything(),
            transfer_data=Anything(),
            amount_details=Anything(),
            payment_details=Anything(),
        ),
        _capture,
    ),
    Route(
        "POST",
        "payment_intents/{id}/cancel",
        "payment_intents.cancel",
        operation(
            cancellation_reason=Choice(
                ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
            )
        ),
        _cancel,
    ),
    Route(
        "GET",
        "payment_intents",
        "payment_intents.list",
        listing(customer=Text()),
        _list,
    ),
)
