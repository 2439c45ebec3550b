"""Refunds: whole, partial, beyond what is left, late, and failing after they succeeded."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Control, eventually


async def paid(api: Any, card: str = "pm_card_visa", **more: Any) -> Any:
    return await api.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "allowed_payment_method_types": ["card"],
            "payment_method": card,
            "confirm": True,
            **more,
        }
    )


async def refund(api: Any, intent: Any, **more: Any) -> Any:
    return await api.refunds.create_async({"payment_intent": intent.id, **more})


async def test_full_refund(api: Any) -> None:
    intent = await paid(api)
    made = await refund(
        api,
        intent,
        reason="requested_by_customer",
        metadata={"why": "too small"},
        expand=["charge.refunds", "balance_transaction"],
    )
    assert (made.status, made.amount, made.currency) == ("succeeded", 1000, "usd")
    assert (made.reason, made.metadata["why"]) == ("requested_by_customer", "too small")
    assert (made.balance_transaction.amount, made.balance_transaction.fee) == (-1000, 0)
    assert made.balance_transaction.type == "refund"
    assert (made.charge.refunded, made.charge.amount_refunded) == (True, 1000)
    assert [each.id for each in made.charge.refunds.data] == [made.id]
    types = [event.type for event in (await api.events.list_async({"limit": 2})).data]
    assert types == ["charge.refunded", "refund.created"]


async def test_partial_then_the_rest(api: Any) -> None:
    intent = await paid(api)
    first = await refund(api, intent, amount=300, expand=["charge"])
    assert (first.charge.refunded, first.charge.amount_refunded) == (False, 300)
    rest = await refund(api, intent)
    assert rest.amount == 700
    listed = await api.refunds.list_async({"payment_intent": intent.id})
    assert [each.id for each in listed.data] == [rest.id, first.id]
    by_charge = await api.charges.retrieve_async(intent.latest_charge, {"expand": ["refunds"]})
    assert [each.amount for each in by_charge.refunds.data] == [700, 300]


async def test_second_refund_beyond_captured_is_refused(api: Any) -> None:
    intent = await paid(api)
    await refund(api, intent, amount=600)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await refund(api, intent, amount=401)
    assert refused.value.param == "amount"


async def test_refund_of_a_refunded_charge_is_refused(api: Any) -> None:
    intent = await paid(api)
    await refund(api, intent)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.refunds.create_async({"charge": intent.latest_charge})
    assert refused.value.code == "charge_already_refunded"


async def test_refund_before_capture_is_refused(api: Any) -> None:
    held = await paid(api, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError):
        await refund(api, held)
    with pytest.raises(stripe.InvalidRequestError):
        await api.refunds.create_async({"charge": held.latest_charge})


async def test_refund_needs_something_to_refund(api: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.refunds.create_async({"amount": 100})
    assert refused.value.code == "parameter_missing"
    first, second = await paid(api), await paid(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.refunds.create_async({"charge": first.latest_charge, "payment_intent": second.id})
    assert refused.value.param == "payment_intent"


async def test_refund_that_is_pending_first(api: Any, control: Control) -> None:
    made = await refund(api, await paid(api, "pm_card_pendingRefund"))
    assert made.status == "pending"
    await control.post("clock", advance_seconds=60)
    assert (await api.refunds.retrieve_async(made.id)).status == "succeeded"
    events = (await api.events.list_async({"type": "refund.updated"})).data
    assert [event.data.object.status for event in events] == ["succeeded"]
    assert events[0].data.previous_attributes.to_dict() == {"status": "pending"}


async def test_refund_that_fails_after_it_succeeded(api: Any, control: Control) -> None:
    intent = await paid(api, "pm_card_refundFail")
    made = await refund(api, intent)
    assert made.status == "succeeded"
    await control.post("clock", advance_seconds=60)
    failed = await api.refunds.retrieve_async(
        made.id, {"expand": ["failure_balance_transaction", "charge"]}
    )
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.failure_balance_transaction.amount == 1000
    assert (failed.charge.refunded, failed.charge.amount_refunded) == (False, 0)
    types = {event.type for event in (await api.events.list_async({"limit": 3})).data}
    assert types == {"refund.failed", "refund.updated", "charge.refund.updated"}


@pytest.mark.parametrize("card", ["pm_card_pendingRefund", "pm_card_visa"])
async def test_refund_that_the_bank_sends_back_on_request(
    api: Any, control: Control, card: str
) -> None:
    intent = await paid(api, card)
    made = await refund(api, intent)
    assert (await control.post(f"refunds/{made.id}/fail"))["status"] == "failed"
    await control.post("clock", advance_seconds=60)
    failed = await api.refunds.retrieve_async(made.id, {"expand": ["charge"]})
    assert (failed.status, failed.charge.amount_refunded) == ("failed", 0)
    events = (await api.events.list_async({"type": "refund.failed"})).data
    assert [event.data.object.id for event in events] == [made.id]
    with pytest.raises(AssertionError, match="failed already"):
        await control.post(f"refunds/{made.id}/fail")


async def test_refund_settles_by_itself_as_time_passes(api: Any) -> None:
    made = await refund(api, await paid(api, "pm_card_pendingRefund"))

    async def settled() -> bool:
        return bool((await api.refunds.retrieve_async(made.id)).status == "succeeded")

    await eventually(settled)


async def test_refund_takes_new_metadata(api: Any) -> None:
    made = await refund(api, await paid(api))
    updated = await api.refunds.update_async(made.id, {"metadata": {"a": "1"}})
    assert updated.metadata.to_dict() == {"a": "1"}
    assert (await api.refunds.update_async(made.id, {})).metadata.to_dict() == {"a": "1"}
