"""Payment intents through the official SDK: every way from created to paid."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Control
from tests.sandbox.intents import CARD, USD, confirmed, types_of_events


async def test_intent_without_a_method_waits_for_one(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, "metadata": {"order": "7"}})
    assert intent.status == "requires_payment_method"
    assert intent.id.startswith("pi_")
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert (intent.amount, intent.currency) == (1250, "usd")
    assert intent.metadata["order"] == "7"
    assert intent.capture_method == "automatic_async"
    assert intent.automatic_payment_methods.enabled


async def test_intent_with_a_method_waits_for_confirmation(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, "payment_method": "pm_card_visa"})
    assert intent.status == "requires_confirmation"
    assert intent.payment_method.startswith("pm_")


async def test_created_then_confirmed_is_paid(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, **CARD})
    paid = await api.payment_intents.confirm_async(
        intent.id,
        {"payment_method": "pm_card_visa", "expand": ["latest_charge.balance_transaction"]},
    )
    assert (paid.status, paid.amount_received) == ("succeeded", 1250)
    charge = paid.latest_charge
    assert charge.paid
    assert charge.captured
    assert charge.amount_captured == 1250
    assert charge.payment_intent == intent.id
    assert charge.payment_method_details.card.last4 == "4242"
    movement = charge.balance_transaction
    assert (movement.amount, movement.fee, movement.net) == (1250, 66, 1184)
    assert movement.type == "charge"
    assert await types_of_events(api) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_confirm_on_create_is_one_call(api: Any) -> None:
    assert (await confirmed(api)).status == "succeeded"


async def test_retrieve_tells_the_same_as_the_answer(api: Any) -> None:
    paid = await confirmed(api)
    assert (await api.payment_intents.retrieve_async(paid.id)).to_dict() == paid.to_dict()


async def test_confirm_without_a_method_is_refused(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, **CARD})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.confirm_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_methods_that_may_redirect_need_a_return_url(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, "payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.confirm_async(intent.id)
    assert refused.value.param == "return_url"
    paid = await api.payment_intents.confirm_async(
        intent.id, {"return_url": "https://shop.example/return"}
    )
    assert paid.status == "succeeded"


async def test_methods_that_never_redirect_need_none(api: Any) -> None:
    paid = await api.payment_intents.create_async(
        {
            **USD,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "payment_method": "pm_card_visa",
            "confirm": True,
        }
    )
    assert paid.status == "succeeded"


async def test_types_are_named_as_the_version_names_them(merchant: Any) -> None:
    old = merchant(stripe_version="2025-09-30.clover").v1
    named = {**USD, "payment_method_types": ["card"]}
    assert (await old.payment_intents.create_async(named)).payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await old.payment_intents.create_async({**USD, "payment_method_types": ["card", "ideal"]})
    assert refused.value.param == "payment_method_types"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await merchant().v1.payment_intents.create_async(named)
    assert refused.value.code == "payment_method_types_no_longer_supported"


async def test_allowed_types_that_cannot_be_used_are_left_out(api: Any) -> None:
    both = await api.payment_intents.create_async(
        {**USD, "allowed_payment_method_types": ["ideal", "card"]}
    )
    assert both.payment_method_types == ["card"]
    assert both.allowed_payment_method_types == ["ideal", "card"]


async def test_currency_is_kept_in_lower_case(api: Any) -> None:
    intent = await api.payment_intents.create_async({"amount": 5000, "currency": "JPY"})
    assert intent.currency == "jpy"


async def test_update_changes_amount_and_unsets_metadata(api: Any) -> None:
    intent = await api.payment_intents.create_async(
        {**USD, "metadata": {"a": "1", "b": "2"}, "description": "Shoes"}
    )
    updated = await api.payment_intents.update_async(
        intent.id, {"amount": 2000, "metadata": {"a": "", "c": "3"}, "description": ""}
    )
    assert (updated.amount, updated.description) == (2000, None)
    assert updated.metadata.to_dict() == {"b": "2", "c": "3"}
    cleared = await api.payment_intents.update_async(intent.id, {"metadata": ""})
    assert cleared.metadata.to_dict() == {}


async def test_update_of_a_paid_intent_takes_metadata_only(api: Any) -> None:
    paid = await confirmed(api)
    updated = await api.payment_intents.update_async(paid.id, {"metadata": {"a": "1"}})
    assert updated.metadata.to_dict() == {"a": "1"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.update_async(paid.id, {"amount": 2000})
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_payment_method_data_makes_a_method_on_the_way(api: Any) -> None:
    paid = await api.payment_intents.create_async(
        {
            **USD,
            **CARD,
            "confirm": True,
            "payment_method_data": {"type": "card", "card": {"token": "tok_applePay_visa"}},
            "expand": ["payment_method", "latest_charge"],
        }
    )
    assert paid.status == "succeeded"
    assert paid.payment_method.card.wallet.type == "apple_pay"
    assert paid.latest_charge.payment_method_details.card.wallet.type == "apple_pay"


async def test_confirmation_parameters_need_confirm(api: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.create_async({**USD, "return_url": "https://shop.example"})
    assert refused.value.param == "return_url"


async def test_objects_of_another_account_are_not_found(merchant: Any) -> None:
    mine, theirs = merchant("sk_test_mine").v1, merchant("sk_test_theirs").v1
    intent = await mine.payment_intents.create_async(USD)
    for call in (
        theirs.payment_intents.retrieve_async(intent.id),
        theirs.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"}),
        theirs.refunds.create_async({"payment_intent": intent.id}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await call
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert (await theirs.payment_intents.list_async()).data == []


async def test_saved_card_pays_for_its_customer_only(api: Any) -> None:
    customer = await api.customers.create_async({"payment_method": "pm_card_visa"})
    [method] = (await api.payment_methods.list_async({"customer": customer.id})).data
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await confirmed(api, method.id)
    assert refused.value.param == "payment_method"
    paid = await confirmed(api, method.id, customer=customer.id)
    assert (paid.status, paid.customer) == ("succeeded", customer.id)
    listed = await api.payment_intents.list_async({"customer": customer.id})
    assert [intent.id for intent in listed.data] == [paid.id]


async def test_setup_future_usage_keeps_the_card(api: Any) -> None:
    customer = await api.customers.create_async({"email": "jo@shop.example"})
    await confirmed(api, customer=customer.id, setup_future_usage="off_session")
    kept = await api.payment_methods.list_async({"customer": customer.id, "type": "card"})
    assert len(kept.data) == 1


async def test_every_movement_is_in_the_record(api: Any, control: Control) -> None:
    paid = await confirmed(api)
    record = await control.get("record", account="sk_test_merchant")
    [charge] = record["charges"]
    assert (charge["id"], charge["amount_captured"]) == (paid.latest_charge, 1250)
    assert [movement["amount"] for movement in record["balance_transactions"]] == [1250]
