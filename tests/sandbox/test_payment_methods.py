"""Payment methods and customers: made of numbers or tokens, kept, let go; numbers never kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.server import Sandbox
from tests.sandbox.conftest import Control

CARD: dict[str, Any] = {
    "number": "4242424242424242",
    "exp_month": 12,
    "exp_year": 2040,
    "cvc": "123",
}


async def test_card_by_number(api: Any) -> None:
    method = await api.payment_methods.create_async(
        {
            "type": "card",
            "card": {**CARD, "number": "5555 5555 5555 4444"},
            "billing_details": {"name": "Jo", "address": {"city": "Bern"}},
            "metadata": {"a": "1"},
        }
    )
    assert (method.card.brand, method.card.last4) == ("mastercard", "4444")
    assert (method.card.exp_month, method.card.exp_year) == (12, 2040)
    assert method.card.checks.cvc_check == "pass"
    assert method.billing_details.address.city == "Bern"
    assert (await api.payment_methods.retrieve_async(method.id)).to_dict() == method.to_dict()


async def test_card_by_token(api: Any) -> None:
    method = await api.payment_methods.create_async({"type": "card", "card": {"token": "tok_amex"}})
    assert (method.card.brand, method.card.last4) == ("amex", "0005")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_methods.create_async({"type": "card", "card": {"token": "tok_x"}})
    assert refused.value.code == "resource_missing"


async def test_the_same_card_has_the_same_fingerprint(api: Any) -> None:
    first, second, other = [
        (await api.payment_methods.retrieve_async(f"pm_card_{name}")).card.fingerprint
        for name in ("visa", "visa", "amex")
    ]
    assert first == second != other


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"number": "4111111111111111"}, "card_declined"),
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2019}, "invalid_expiry_year"),
    ],
)
async def test_cards_no_bank_would_see(api: Any, card: dict[str, Any], code: str) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await api.payment_methods.create_async({"type": "card", "card": {**CARD, **card}})
    assert (declined.value.code, declined.value.http_status) == (code, 402)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"type": "sepa_debit"}, "type"),
        ({"type": "card"}, "card"),
        ({"type": "card", "card": {"exp_month": 1, "exp_year": 2040}}, "card[number]"),
        ({"type": "card", "card": {"number": "4242424242424242"}}, "card[exp_month]"),
        ({"card": CARD}, "type"),
    ],
)
async def test_incomplete_methods(api: Any, params: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_methods.create_async(params)
    assert refused.value.param == param


async def test_card_numbers_are_never_kept(
    api: Any, control: Control, sandbox: Sandbox, tmp_path: Path
) -> None:
    await api.payment_methods.create_async({"type": "card", "card": {**CARD, "cvc": "987"}})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.create_async(
            {"amount": CARD["number"] + "99999", "currency": "usd"}
        )
    assert CARD["number"] not in str(refused.value)
    kept = str(await control.get("record", lists="attempts,events"))
    assert "[redacted]" in kept
    for path in (tmp_path / "sandbox").iterdir():
        assert CARD["number"].encode() not in path.read_bytes()
        assert b'"987"' not in path.read_bytes()


async def test_attach_list_detach(api: Any) -> None:
    customer = await api.customers.create_async({"email": "jo@shop.example"})
    method = await api.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    assert method.customer == customer.id
    kept = await api.customers.payment_methods.list_async(customer.id)
    assert [each.id for each in kept.data] == [method.id]
    other = await api.customers.create_async({})
    with pytest.raises(stripe.InvalidRequestError):
        await api.payment_methods.attach_async(method.id, {"customer": other.id})
    assert (await api.payment_methods.detach_async(method.id)).customer is None
    assert (await api.payment_methods.list_async({"customer": customer.id})).data == []
    with pytest.raises(stripe.InvalidRequestError):
        await api.payment_methods.detach_async(method.id)


async def test_some_cards_cannot_be_kept(api: Any) -> None:
    customer = await api.customers.create_async({})
    with pytest.raises(stripe.CardError):
        await api.payment_methods.attach_async("pm_card_chargeDeclined", {"customer": customer.id})
    kept = await api.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    )
    assert kept.customer == customer.id


async def test_method_updates(api: Any) -> None:
    method = await api.payment_methods.create_async({"type": "card", "card": CARD})
    updated = await api.payment_methods.update_async(
        method.id,
        {
            "metadata": {"a": "1"},
            "billing_details": {"email": "jo@shop.example"},
            "card": {"exp_month": 1, "exp_year": 2041},
        },
    )
    assert updated.billing_details.email == "jo@shop.example"
    assert (updated.card.exp_month, updated.card.exp_year) == (1, 2041)
    [event] = (await api.events.list_async({"type": "payment_method.*"})).data
    assert event.data.previous_attributes.card.exp_month == 12


async def test_customer_life(api: Any) -> None:
    customer = await api.customers.create_async(
        {
            "name": "Jo",
            "email": "jo@shop.example",
            "address": {"city": "Bern", "country": "CH"},
            "preferred_locales": ["de", "fr"],
            "metadata": {"a": "1"},
            "payment_method": "pm_card_visa",
        }
    )
    assert customer.address.line1 is None
    assert customer.preferred_locales == ["de", "fr"]
    [method] = (await api.payment_methods.list_async({"customer": customer.id})).data
    updated = await api.customers.update_async(
        customer.id,
        {"name": "", "invoice_settings": {"default_payment_method": method.id}},
    )
    assert updated.name is None
    assert updated.invoice_settings.default_payment_method == method.id
    found = await api.customers.list_async({"email": "jo@shop.example"})
    assert [each.id for each in found.data] == [customer.id]
    assert (await api.customers.delete_async(customer.id)).deleted
    assert (await api.customers.retrieve_async(customer.id)).deleted
    assert (await api.customers.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.customers.update_async(customer.id, {"name": "Al"})
    assert refused.value.http_status == 404
    types = [event.type for event in (await api.events.list_async({"type": "customer.*"})).data]
    assert types == ["customer.deleted", "customer.updated", "customer.created"]


async def test_charge_takes_description_and_metadata(api: Any) -> None:
    intent = await api.payment_intents.create_async(
        {
            "amount": 900,
            "currency": "eur",
            "allowed_payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "confirm": True,
            "transfer_group": "group",
        }
    )
    charge = await api.charges.update_async(
        intent.latest_charge, {"description": "Shoes", "metadata": {"a": "1"}}
    )
    assert (charge.description, charge.metadata.to_dict()) == ("Shoes", {"a": "1"})
    [event] = (await api.events.list_async({"type": "charge.updated"})).data
    assert event.data.previous_attributes.description is None
    listed = await api.charges.list_async({"transfer_group": "group"})
    assert [each.id for each in listed.data] == [charge.id]
    refunds = await api.charges.list_async({"transfer_group": "another"})
    assert refunds.data == []
