"""/v1/customers: who pays, and which cards are kept for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sandbox.domain import payment_methods
from sandbox.domain.payment_methods import Customer, PaymentMethod
from sandbox.domain.work import merged_metadata
from sandbox.listing import attribute, column, list_page
from sandbox.parameters import (
    ADDRESS,
    SHIPPING,
    Anything,
    Choice,
    Fields,
    ListOf,
    Metadata,
    Parameter,
    Text,
    listing,
    operation,
)
from sandbox.resources.payment_methods import address_shape
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shapes

_PLAIN: Final[dict[str, Parameter]] = {
    "name": Text(256),
    "email": Text(512),
    "phone": Text(20),
    "description": Text(),
    "address": ADDRESS,
    "shipping": SHIPPING,
    "preferred_locales": ListOf(Text(unsettable=False)),
    "tax_exempt": Choice(("exempt", "none", "reverse"), unsettable=True),
}
_PARAMETERS: Final[dict[str, Parameter]] = _PLAIN | {
    "metadata": Metadata(),
    "invoice_settings": Fields(
        {
            "default_payment_method": Text(),
            "custom_fields": Anything(),
            "footer": Anything(),
            "rendering_options": Anything(),
        }
    ),
    "balance": Anything(),
    "business_name": Anything(),
    "cash_balance": Anything(),
    "individual_name": Anything(),
    "validate": Anything(),
    "invoice_prefix": Anything(),
    "next_invoice_sequence": Anything(),
    "tax": Anything(),
}


def _create(call: Call) -> Customer:
    metadata = merged_metadata({}, call.params.get("metadata", {}))
    customer = Customer(**call.work.identity(Customer), metadata=metadata, **call.given(*_PLAIN))
    call.work.put(customer)
    if "payment_method" in call.params:
        method = payment_methods.resolve(call.work, call.params["payment_method"])
        payment_methods.attach(call.work, method, customer.id)
    customer = call.work.put(_with_default_method(call, customer))
    call.work.emit("customer.created", customer)
    return customer


def _with_default_method(call: Call, customer: Customer) -> Customer:
    settings: dict[str, Any] = call.params.get("invoice_settings") or {}
    if "default_payment_method" not in settings:
        return customer
    name = "invoice_settings[default_payment_method]"
    method_id = settings["default_payment_method"]
    if method_id is not None:
        call.work.get(PaymentMethod, method_id, param=name)
    return replace(customer, default_payment_method=method_id)


def _retrieve(call: Call) -> Customer:
    return call.work.get(Customer, call.id)


def _update(call: Call) -> Customer:
    before = payment_methods.live_customer(call.work, call.id, param="id")
    changes = call.given(*_PLAIN)
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(before.metadata, call.params["metadata"])
    after = call.work.put(_with_default_method(call, replace(before, **changes)))
    call.work.emit("customer.updated", after, previous=before)
    return after


def _delete(call: Call) -> Customer:
    customer = payment_methods.live_customer(call.work, call.id, param="id")
    call.work.emit("customer.deleted", customer)
    return call.work.put(replace(customer, deleted=True))


def _list(call: Call) -> Listing:
    return list_page(
        call,
        Customer,
        filters={"email": attribute("email")},
        always=(("json_extract(data, '$.deleted') = 0", ()),),
    )


def _list_methods(call: Call) -> Listing:
    payment_methods.live_customer(call.work, call.id, param="id")
    by_customer = column("customer")(call.id)
    return list_page(call, PaymentMethod, always=(by_customer,))


ROUTES: Final = (
    Route(
        "POST",
        "customers",
        "customers.create",
        operation(_PARAMETERS, payment_method=Text(unsettable=False)),
        _create,
    ),
    Route("GET", "customers/{id}", "customers.retrieve", operation(), _retrieve),
    Route("POST", "customers/{id}", "customers.update", operation(_PARAMETERS), _update),
    Route("DELETE", "customers/{id}", "customers.delete", operation(), _delete),
    Route("GET", "customers", "customers.list", listing(email=Text()), _list),
    Route(
        "GET",
        "customers/{id}/payment_methods",
        "customers.list_payment_methods",
        listing(type=Choice(("card",)), allow_redisplay=Anything()),
        _list_methods,
    ),
)


@shapes(Customer)
def customer_shape(customer: Customer, view: View) -> Json:  # noqa: ARG001 (every shape's signature)
    """A customer as Stripe shows it; of a deleted one only the id is left."""
    if customer.deleted:
        return {"id": customer.id, "object": "customer", "deleted": True}
    return {
        "id": customer.id,
        "object": "customer",
        "address": None if customer.address is None else address_shape(customer.address),
        "balance": 0,
        "created": customer.created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": customer.description,
        "discount": None,
        "email": customer.email,
        "invoice_prefix": customer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": customer.default_payment_method,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": customer.metadata,
        "name": customer.name,
        "next_invoice_sequence": 1,
        "phone": customer.phone,
        "preferred_locales": list(customer.preferred_locales),
        "shipping": customer.shipping,
        "tax_exempt": customer.tax_exempt or "none",
        "test_clock": None,
    }
