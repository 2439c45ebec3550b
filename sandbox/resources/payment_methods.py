"""/v1/payment_methods: cards, made of test numbers or tokens, kept for customers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sandbox.domain import payment_methods
from sandbox.domain.payment_methods import Card, PaymentMethod
from sandbox.domain.work import merged_metadata
from sandbox.errors import InvalidRequest
from sandbox.listing import attribute, column, list_page
from sandbox.parameters import (
    BILLING_DETAILS,
    Anything,
    Choice,
    Fields,
    Integer,
    Metadata,
    Text,
    listing,
    operation,
)
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shapes

_EMPTY_ADDRESS: Final = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
_REDISPLAY: Final = Choice(("always", "limited", "unspecified"))

CARD: Final = Fields(
    {
        "number": Text(unsettable=False),
        "exp_month": Integer(),
        "exp_year": Integer(),
        "cvc": Text(),
        "token": Text(unsettable=False),
        "networks": Anything(),
    }
)
NEW_METHOD: Final[dict[str, Any]] = {
    "type": Text(unsettable=False),
    "card": CARD,
    "billing_details": BILLING_DETAILS,
    "metadata": Metadata(),
    "allow_redisplay": _REDISPLAY,
}


def create_from(call: Call, given: dict[str, Any], *, param: str = "") -> PaymentMethod:
    """Make a payment method of what a request gives, here or inside a payment intent."""
    prefix = f"{param}[{{}}]" if param else "{}"
    if given["type"] != "card":
        raise InvalidRequest(
            f"The payment method type {given['type'][:40]!r} is not enabled; the sandbox has card.",
            param=prefix.format("type"),
        )
    if "card" not in given:
        raise InvalidRequest(
            "Missing required param: card.", code="parameter_missing", param=prefix.format("card")
        )
    return payment_methods.create(
        call.work,
        card=given["card"],
        billing_details=given.get("billing_details"),
        metadata=merged_metadata({}, given.get("metadata")),
        param=prefix.format("card"),
    )


def _create(call: Call) -> PaymentMethod:
    return create_from(call, call.params)


def _retrieve(call: Call) -> PaymentMethod:
    return payment_methods.resolve(call.work, call.id, param="payment_method")


def _update(call: Call) -> PaymentMethod:
    before = call.work.get(PaymentMethod, call.id, param="payment_method")
    changes = call.given("billing_details", "allow_redisplay")
    if "billing_details" in changes:
        changes["billing_details"] = before.billing_details | changes["billing_details"]
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(before.metadata, call.params["metadata"])
    if expiry := call.params.get("card"):
        changes["card"] = replace(before.card, **expiry)
    after = call.work.put(replace(before, **changes))
    call.work.emit("payment_method.updated", after, previous=before)
    return after


def _attach(call: Call) -> PaymentMethod:
    method = payment_methods.resolve(call.work, call.id, param="payment_method")
    return payment_methods.attach(call.work, method, call.params["customer"])


def _detach(call: Call) -> PaymentMethod:
    method = call.work.get(PaymentMethod, call.id, param="payment_method")
    return payment_methods.detach(call.work, method)


def _list(call: Call) -> Listing:
    always = () if "customer" in call.params else (("customer is not null", ()),)
    return list_page(
        call,
        PaymentMethod,
        filters={
            "customer": column("customer"),
            "type": lambda wanted: ("? = 'card'", (wanted,)),
            "allow_redisplay": attribute("allow_redisplay"),
        },
        always=always,
    )


ROUTES: Final = (
    Route(
        "POST",
        "payment_methods",
        "payment_methods.create",
        operation(NEW_METHOD, required=("type",), radar_options=Anything()),
        _create,
    ),
    Route("GET", "payment_methods/{id}", "payment_methods.retrieve", operation(), _retrieve),
    Route(
        "POST",
        "payment_methods/{id}",
        "payment_methods.update",
        operation(
            allow_redisplay=_REDISPLAY,
            billing_details=BILLING_DETAILS,
            metadata=Metadata(),
            card=Fields({"exp_month": Integer(1, 12), "exp_year": Integer(2000, 2100)}),
        ),
        _update,
    ),
    Route(
        "POST",
        "payment_methods/{id}/attach",
        "payment_methods.attach",
        operation(required=("customer",), customer=Text(unsettable=False)),
        _attach,
    ),
    Route("POST", "payment_methods/{id}/detach", "payment_methods.detach", operation(), _detach),
    Route(
        "GET",
        "payment_methods",
        "payment_methods.list",
        listing(customer=Text(), type=Text(), allow_redisplay=_REDISPLAY),
        _list,
    ),
)


def address_shape(given: dict[str, Any] | None) -> Json:
    """An address with every field, null where nothing is known."""
    return _EMPTY_ADDRESS | (given or {})


def billing_shape(given: dict[str, Any]) -> Json:
    """Billing details with every field, null where nothing is known."""
    empty = dict.fromkeys(("email", "name", "phone", "tax_id"))
    return empty | given | {"address": address_shape(given.get("address"))}


def checks_shape(card: Card) -> Json:
    """What the bank checked."""
    return {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": card.catalogued.cvc_check if card.cvc_checked else None,
    }


def wallet_shape(card: Card) -> Json | None:
    """The wallet a card was paid from, if any."""
    if card.wallet is None:
        return None
    return {card.wallet: {}, "dynamic_last4": card.last4, "type": card.wallet}


@shapes(PaymentMethod)
def payment_method_shape(method: PaymentMethod, view: View) -> Json:  # noqa: ARG001 (every shape's signature)
    """A payment method as Stripe shows it."""
    card, known = method.card, method.card.catalogued
    return {
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": method.allow_redisplay,
        "billing_details": billing_shape(method.billing_details),
        "card": {
            "brand": known.brand,
            "checks": checks_shape(card),
            "country": known.country,
            "display_brand": known.brand,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "fingerprint": card.fingerprint,
            "funding": known.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [known.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": wallet_shape(card),
        },
        "created": method.created,
        "customer": method.customer,
        "customer_account": None,
        "livemode": False,
        "metadata": method.metadata,
        "type": "card",
    }
