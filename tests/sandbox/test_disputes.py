"""Disputes: opened by test cards or by control, answered with evidence, won and lost."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Control
from tests.sandbox.test_refunds import paid


async def disputed(api: Any, card: str = "pm_card_createDispute") -> Any:
    intent = await paid(api, card)
    [dispute] = (await api.disputes.list_async({"payment_intent": intent.id})).data
    return dispute


async def test_dispute_card_takes_the_money_back_with_a_fee(api: Any) -> None:
    dispute = await disputed(api)
    assert (dispute.status, dispute.reason) == ("needs_response", "fraudulent")
    assert dispute.amount == 1000
    [withdrawn] = dispute.balance_transactions
    assert (withdrawn.amount, withdrawn.fee, withdrawn.net) == (-1000, 1500, -2500)
    assert (withdrawn.type, withdrawn.reporting_category) == ("adjustment", "dispute")
    charge = await api.charges.retrieve_async(dispute.charge)
    assert charge.disputed
    events = (
        await api.events.list_async(
            {"types": ["charge.dispute.created", "charge.dispute.funds_withdrawn"]}
        )
    ).data
    assert len(events) == 2
    assert events[0].data.object.id == dispute.id


async def test_other_reasons(api: Any) -> None:
    dispute = await disputed(api, "pm_card_createDisputeProductNotReceived")
    assert dispute.reason == "product_not_received"


async def test_winning_evidence_brings_the_money_back_but_not_the_fee(
    api: Any, control: Control
) -> None:
    dispute = await disputed(api)
    answered = await api.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}}
    )
    assert answered.status == "under_review"
    assert answered.evidence_details.submission_count == 1
    await control.post("clock", advance_seconds=60)
    won = await api.disputes.retrieve_async(dispute.id)
    assert won.status == "won"
    assert [(each.amount, each.fee) for each in won.balance_transactions] == [
        (-1000, 1500),
        (1000, 0),
    ]
    types = {event.type for event in (await api.events.list_async({"limit": 2})).data}
    assert types == {"charge.dispute.closed", "charge.dispute.funds_reinstated"}
    refund = await api.refunds.create_async({"charge": dispute.charge})
    assert refund.status == "succeeded"


async def test_losing_evidence_loses(api: Any, control: Control) -> None:
    dispute = await disputed(api)
    await api.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": "losing_evidence"}}
    )
    await control.post("clock", advance_seconds=60)
    lost = await api.disputes.retrieve_async(dispute.id)
    assert (lost.status, len(lost.balance_transactions)) == ("lost", 1)


async def test_evidence_can_be_kept_back(api: Any) -> None:
    dispute = await disputed(api)
    kept = await api.disputes.update_async(
        dispute.id,
        {"evidence": {"customer_name": "Jo"}, "submit": False, "metadata": {"a": "1"}},
    )
    assert (kept.status, kept.evidence.customer_name) == ("needs_response", "Jo")
    assert kept.evidence_details.has_evidence
    assert kept.metadata.to_dict() == {"a": "1"}


async def test_silence_loses(api: Any, control: Control) -> None:
    dispute = await disputed(api)
    await control.post("clock", advance_seconds=10 * 24 * 3600)
    assert (await api.disputes.retrieve_async(dispute.id)).status == "lost"


async def test_giving_in_loses_and_is_final(api: Any) -> None:
    dispute = await disputed(api)
    assert (await api.disputes.close_async(dispute.id)).status == "lost"
    with pytest.raises(stripe.InvalidRequestError):
        await api.disputes.close_async(dispute.id)
    with pytest.raises(stripe.InvalidRequestError):
        await api.disputes.update_async(dispute.id, {"evidence": {"customer_name": "Jo"}})


async def test_inquiry_moves_no_money(api: Any) -> None:
    inquiry = await disputed(api, "pm_card_createDisputeInquiry")
    assert (inquiry.status, inquiry.balance_transactions) == ("warning_needs_response", [])
    assert (await api.disputes.close_async(inquiry.id)).status == "warning_closed"


async def test_disputed_charge_cannot_be_refunded(api: Any) -> None:
    dispute = await disputed(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.refunds.create_async({"charge": dispute.charge})
    assert refused.value.code == "charge_disputed"


async def test_control_opens_and_decides_disputes(api: Any, control: Control) -> None:
    intent = await paid(api)
    opened = await control.post(
        "disputes", payment_intent=intent.id, amount=400, reason="duplicate"
    )
    assert (opened["amount"], opened["status"]) == (400, "needs_response")
    won = await control.post(f"disputes/{opened['id']}/win")
    assert won["status"] == "won"
    second = await control.post("disputes", charge=intent.latest_charge)
    assert second["amount"] == 1000
    assert (await control.post(f"disputes/{second['id']}/lose"))["status"] == "lost"


async def test_control_refuses_what_makes_no_sense(api: Any, control: Control) -> None:
    held = await paid(api, capture_method="manual")
    for path, order in (
        ("disputes", {"payment_intent": held.id}),
        ("disputes", {"charge": "ch_unknown"}),
        ("disputes", {"chrge": "ch_unknown"}),
        ("disputes/du_unknown/win", {}),
    ):
        answer = await control.http.post(f"/_sandbox/{path}", json=order)
        assert answer.status_code == 400, path
        assert answer.json()["error"]["message"]
