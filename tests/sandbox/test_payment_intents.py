"""Payment intents through the official SDK: every way from created to paid, held or given up."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Control

CARD = {"allowed_payment_method_types": ["card"]}
USD = {"amount": 1250, "currency": "usd"}


async def confirmed(api: Any, card: str = "pm_card_visa", **more: Any) -> Any:
    return await api.payment_intents.create_async(
        {**USD, **CARD, "payment_method": card, "confirm": True, **more}
    )


async def types_of_events(api: Any) -> list[str]:
    return [event.type for event in reversed((await api.events.list_async()).data)]


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


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
        ),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        (
            "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
            "card_declined",
            "card_velocity_exceeded",
        ),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
async def test_declines(api: Any, card: str, code: str, decline_code: str | None) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await confirmed(api, card)
    error: Any = declined.value.error
    assert declined.value.http_status == 402
    assert (error.code, getattr(error, "decline_code", None)) == (code, decline_code)
    intent = error.payment_intent
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == code
    charge = await api.charges.retrieve_async(error.charge)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert charge.outcome.type in ("issuer_declined", "blocked")


async def test_a_declined_intent_can_be_paid_with_another_card(api: Any) -> None:
    intent = await api.payment_intents.create_async({**USD, **CARD})
    with pytest.raises(stripe.CardError):
        await api.payment_intents.confirm_async(
            intent.id, {"payment_method": "pm_card_chargeDeclined"}
        )
    paid = await api.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_mastercard"}
    )
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    charges = await api.charges.list_async({"payment_intent": intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large", "amount"),
        ({"amount": 1005, "currency": "kwd"}, "invalid_charge_amount", "amount"),
        ({"amount": 1000, "currency": "xxx"}, None, "currency"),
    ],
)
async def test_amounts_no_card_can_pay(
    api: Any, params: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.create_async(params)
    assert (refused.value.code, refused.value.param) == (code, param)


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


async def test_off_session_payment_that_needs_authentication_is_declined(api: Any) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await confirmed(api, "pm_card_authenticationRequired", off_session=True)
    assert declined.value.code == "authentication_required"
    error: Any = declined.value.error
    assert error.payment_intent.status == "requires_payment_method"


async def test_card_set_up_for_later_passes_off_session(api: Any) -> None:
    card = "pm_card_authenticationRequiredOnSetup"
    assert (await confirmed(api, card, off_session=True)).status == "succeeded"
    assert (await confirmed(api, card)).status == "requires_action"


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
