"""Cards and amounts that are declined or refused, each with its code."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.intents import CARD, USD, confirmed


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
