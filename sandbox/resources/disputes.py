"""/v1/disputes: what banks take back, and what merchants say to it."""

from __future__ import annotations

from typing import Final

from sandbox.domain import disputes
from sandbox.domain.disputes import Dispute
from sandbox.domain.work import merged_metadata
from sandbox.listing import column, list_page
from sandbox.parameters import (
    Anything,
    Boolean,
    Fields,
    Metadata,
    Text,
    listing,
    operation,
)
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shape, shapes

_EVIDENCE: Final = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
_NETWORK_REASONS: Final = {"fraudulent": "10.4", "product_not_received": "13.1"}


def _retrieve(call: Call) -> Dispute:
    return call.work.get(Dispute, call.id, param="dispute")


def _update(call: Call) -> Dispute:
    dispute = _retrieve(call)
    metadata = dispute.metadata
    if "metadata" in call.params:
        metadata = merged_metadata(metadata, call.params["metadata"])
    return disputes.respond(
        call.work,
        dispute,
        evidence=call.params.get("evidence", {}),
        metadata=metadata,
        submit=call.params.get("submit", True),
    )


def _close(call: Call) -> Dispute:
    return disputes.lose(call.work, _retrieve(call))


def _list(call: Call) -> Listing:
    filters = {"charge": column("charge"), "payment_intent": column("payment_intent")}
    return list_page(call, Dispute, filters=filters)


ROUTES: Final = (
    Route("GET", "disputes/{id}", "disputes.retrieve", operation(), _retrieve),
    Route(
        "POST",
        "disputes/{id}",
        "disputes.update",
        operation(
            evidence=Fields(
                {name: Text(20_000) for name in _EVIDENCE} | {"enhanced_evidence": Anything()}
            ),
            metadata=Metadata(),
            submit=Boolean(),
            intended_submission_method=Anything(),
        ),
        _update,
    ),
    Route("POST", "disputes/{id}/close", "disputes.close", operation(), _close),
    Route("GET", "disputes", "disputes.list", listing(charge=Text(), payment_intent=Text()), _list),
)


@shapes(Dispute)
def dispute_shape(dispute: Dispute, view: View) -> Json:
    """A dispute as Stripe shows it, its balance transactions in full."""
    inquiry = dispute.state.startswith("warning_")
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [
            shape(movement, view) for movement in dispute.balance_transactions
        ],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}} | dispute.evidence,
        "evidence_details": {
            "due_by": dispute.evidence_due_by,
            "enhanced_eligibility": {},
            "has_evidence": any(dispute.evidence.values()),
            "past_due": view.now > dispute.evidence_due_by and not dispute.submission_count,
            "submission_count": dispute.submission_count,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": dispute.metadata,
        "payment_intent": dispute.payment_intent,
        "payment_method_details": {
            "card": {
                "brand": dispute.brand,
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": dispute.brand,
                "network_reason_code": _NETWORK_REASONS.get(dispute.reason, "10.4"),
            },
            "type": "card",
        },
        "reason": dispute.reason,
        "status": dispute.state,
    }
