"""/v1/refunds: giving captured money back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sandbox.domain import refunds
from sandbox.domain.charges import Charge
from sandbox.domain.payment_intents import UNEXPECTED_STATE, PaymentIntent
from sandbox.domain.refunds import Refund, State
from sandbox.domain.work import merged_metadata
from sandbox.errors import InvalidRequest, Refused
from sandbox.listing import column, list_page
from sandbox.parameters import (
    Anything,
    Choice,
    Integer,
    Metadata,
    Text,
    listing,
    operation,
)
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shapes


def _create(call: Call) -> Refund:
    return refunds.create(
        call.work,
        _charge(call),
        amount=call.params.get("amount"),
        reason=call.params.get("reason"),
        metadata=merged_metadata({}, call.params.get("metadata", {})),
    )


def _charge(call: Call) -> Charge:
    work, params = call.work, call.params
    if "charge" in params:
        charge = work.get(Charge, params["charge"], param="charge")
        if params.get("payment_intent", charge.payment_intent) != charge.payment_intent:
            raise InvalidRequest(
                "The charge does not belong to the payment_intent.", param="payment_intent"
            )
        return charge
    if "payment_intent" not in params:
        raise InvalidRequest(
            "One of the following params should be provided: payment_intent or charge.",
            code="parameter_missing",
            param="payment_intent",
        )
    intent = work.get(PaymentIntent, params["payment_intent"], param="payment_intent")
    charge_id = intent.latest_charge if intent.amount_received else None
    if charge_id is None:
        raise Refused(
            f"This PaymentIntent ({intent.id}) has no successful charge to refund.",
            code=UNEXPECTED_STATE,
            param="payment_intent",
        )
    return work.get(Charge, charge_id)


def _retrieve(call: Call) -> Refund:
    return call.work.get(Refund, call.id)


def _update(call: Call) -> Refund:
    before = _retrieve(call)
    if "metadata" not in call.params:
        return before
    metadata = merged_metadata(before.metadata, call.params["metadata"])
    after = call.work.put(replace(before, metadata=metadata))
    for event_type in ("refund.updated", "charge.refund.updated"):
        call.work.emit(event_type, after, previous=before)
    return after


def _list(call: Call) -> Listing:
    filters = {"charge": column("charge"), "payment_intent": column("payment_intent")}
    return list_page(call, Refund, filters=filters)


ROUTES: Final = (
    Route(
        "POST",
        "refunds",
        "refunds.create",
        operation(
            charge=Text(unsettable=False),
            payment_intent=Text(unsettable=False),
            amount=Integer(1),
            reason=Choice(("duplicate", "fraudulent", "requested_by_customer")),
            metadata=Metadata(),
            instructions_email=Anything(),
            refund_application_fee=Anything(),
            reverse_transfer=Anything(),
        ),
        _create,
    ),
    Route("GET", "refunds/{id}", "refunds.retrieve", operation(), _retrieve),
    Route("POST", "refunds/{id}", "refunds.update", operation(metadata=Metadata()), _update),
    Route("GET", "refunds", "refunds.list", listing(charge=Text(), payment_intent=Text()), _list),
)


@shapes(Refund)
def refund_shape(refund: Refund, view: View) -> Json:  # noqa: ARG001 (every shape's signature)
    """A refund as Stripe shows it; what tells of a failure is only there after one."""
    failure: dict[str, Any] = {}
    if refund.state is State.FAILED:
        failure = {
            "failure_balance_transaction": refund.failure_balance_transaction,
            "failure_reason": refund.failure_reason,
        }
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.balance_transaction,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "customer": None,
        "customer_account": None,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        **failure,
        "metadata": refund.metadata,
        "payment_intent": refund.payment_intent,
        "payment_method": None,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.state,
        "transfer_reversal": None,
    }
