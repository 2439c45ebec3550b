"""What is held is taken, in part or whole, or let go of; and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.intents import confirmed, types_of_events


async def test_manual_capture_holds_then_takes(api: Any) -> None:
    held = await confirmed(api, capture_method="manual", expand=["latest_charge"])
    assert (held.status, held.amount_capturable) == ("requires_capture", 1250)
    assert not held.latest_charge.captured
    assert held.latest_charge.balance_transaction is None
    taken = await api.payment_intents.capture_async(held.id)
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 1250, 0)
    assert await types_of_events(api) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


async def test_partial_capture_lets_go_of_the_rest(api: Any) -> None:
    held = await confirmed(api, capture_method="manual")
    taken = await api.payment_intents.capture_async(
        held.id, {"amount_to_capture": 1000, "expand": ["latest_charge.balance_transaction"]}
    )
    charge = taken.latest_charge
    assert (taken.amount_received, charge.amount_captured) == (1000, 1000)
    assert (charge.amount_refunded, charge.refunded) == (250, False)
    assert charge.balance_transaction.amount == 1000
    refund = await api.refunds.create_async({"payment_intent": held.id})
    assert refund.amount == 1000


async def test_more_than_held_cannot_be_captured(api: Any) -> None:
    held = await confirmed(api, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.capture_async(held.id, {"amount_to_capture": 1251})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")


async def test_what_is_not_held_cannot_be_captured(api: Any) -> None:
    paid = await confirmed(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.capture_async(paid.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.http_status == 400
    error: Any = refused.value.error
    assert error.payment_intent.id == paid.id


async def test_cancel_lets_go_of_a_hold(api: Any) -> None:
    held = await confirmed(api, capture_method="manual")
    canceled = await api.payment_intents.cancel_async(
        held.id, {"cancellation_reason": "requested_by_customer", "expand": ["latest_charge"]}
    )
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    assert canceled.cancellation_reason == "requested_by_customer"
    assert canceled.canceled_at is not None
    assert canceled.latest_charge.amount_refunded == 1250
    assert (await types_of_events(api))[-1] == "payment_intent.canceled"


@pytest.mark.parametrize("operation", ["cancel_async", "confirm_async"])
async def test_a_paid_intent_is_final(api: Any, operation: str) -> None:
    paid = await confirmed(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await getattr(api.payment_intents, operation)(paid.id)
    assert refused.value.code == "payment_intent_unexpected_state"
