"""/v1/charges: what was taken from cards, read-only but for its description and metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.domain.charges import Charge
from sandbox.domain.payment_methods import Card
from sandbox.domain.refunds import Refund
from sandbox.domain.work import merged_metadata
from sandbox.listing import attribute, column, list_page
from sandbox.parameters import (
    SHIPPING,
    Anything,
    Metadata,
    Text,
    listing,
    operation,
)
from sandbox.resources.payment_methods import billing_shape, checks_shape, wallet_shape
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shapes

_PLAIN: Final = ("description", "receipt_email", "shipping", "transfer_group")


def _retrieve(call: Call) -> Charge:
    return call.work.get(Charge, call.id)


def _update(call: Call) -> Charge:
    before = _retrieve(call)
    changes = call.given(*_PLAIN)
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(before.metadata, call.params["metadata"])
    after = call.work.put(replace(before, **changes))
    call.work.emit("charge.updated", after, previous=before)
    return after


def _list(call: Call) -> Listing:
    filters = {
        "customer": column("customer"),
        "payment_intent": column("payment_intent"),
        "transfer_group": attribute("transfer_group"),
    }
    return list_page(call, Charge, filters=filters)


def _list_refunds(call: Call) -> Listing:
    return list_page(call, Refund, always=(column("charge")(_retrieve(call).id),))


ROUTES: Final = (
    Route("GET", "charges/{id}", "charges.retrieve", operation(), _retrieve),
    Route(
        "POST",
        "charges/{id}",
        "charges.update",
        operation(
            description=Text(),
            receipt_email=Text(),
            shipping=SHIPPING,
            transfer_group=Text(),
            metadata=Metadata(),
            fraud_details=Anything(),
        ),
        _update,
    ),
    Route(
        "GET",
        "charges",
        "charges.list",
        listing(customer=Text(), payment_intent=Text(), transfer_group=Text()),
        _list,
    ),
    Route("GET", "charges/{id}/refunds", "charges.list_refunds", listing(), _list_refunds),
)


@shapes(Charge)
def charge_shape(charge: Charge, view: View) -> Json:  # noqa: ARG001 (every shape's signature)
    """A charge as Stripe shows it. What a partial capture let go counts as refunded there."""
    gone = charge.amount_refunded + charge.amount_released
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": gone,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge.balance_transaction,
        "billing_details": billing_shape(charge.billing_details),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "customer": charge.customer,
        "description": charge.description,
        "disputed": charge.disputed,
        "failure_balance_transaction": None,
        "failure_code": charge.failure_code,
        "failure_message": charge.failure_message,
        "fraud_details": {},
        "livemode": False,
        "metadata": charge.metadata,
        "on_behalf_of": None,
        "outcome": _outcome_shape(charge),
        "paid": charge.state == "succeeded",
        "payment_intent": charge.payment_intent,
        "payment_method": charge.payment_method,
        "payment_method_details": {"card": _card_shape(charge), "type": "card"},
        "receipt_email": charge.receipt_email,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": charge.state == "succeeded" and gone == charge.amount,
        "review": None,
        "shipping": charge.shipping,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": charge.statement_descriptor_suffix,
        "status": charge.state,
        "transfer_data": None,
        "transfer_group": charge.transfer_group,
    }


def _outcome_shape(charge: Charge) -> Json:
    card = charge.card.catalogued
    outcome: Json = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if charge.state == "succeeded":
        return outcome
    refusal: Json = {
        "reason": charge.decline_code or charge.failure_code,
        "seller_message": "The bank declined the payment.",
        "network_status": "declined_by_network",
        "type": "issuer_declined",
    }
    if card.blocked_as_fraud:
        refusal |= {
            "reason": "highest_risk_level",
            "risk_level": "highest",
            "risk_score": 90,
            "seller_message": "The payment was blocked as too risky.",
            "network_status": "not_sent_to_network",
            "type": "blocked",
        }
    return outcome | refusal


def _card_shape(charge: Charge) -> Json:
    card = charge.card
    known = card.catalogued
    return {
        "amount_authorized": charge.amount if charge.state == "succeeded" else None,
        "authorization_code": None,
        "brand": known.brand,
        **({"capture_before": charge.capture_before} if charge.capture_before else {}),
        "checks": checks_shape(card),
        "country": known.country,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card.fingerprint,
        "funding": known.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": known.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge.id[-15:],
        "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": _three_d_secure_shape(card) if charge.authenticated else None,
        "transaction_link_id": None,
        "wallet": wallet_shape(card),
    }


def _three_d_secure_shape(card: Card) -> Json:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "02" if card.catalogued.brand == "mastercard" else "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": card.fingerprint,
        "version": "2.2.0",
    }
