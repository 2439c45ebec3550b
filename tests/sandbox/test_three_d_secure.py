"""3-D Secure over HTTP: the redirect, the page's two answers, and the way back to the shop."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.sandbox.conftest import Control

RETURN_URL = "https://shop.example/return?order=7"


async def waiting(api: Any, card: str = "pm_card_threeDSecure2Required", **more: Any) -> Any:
    return await api.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "payment_method": card,
            "confirm": True,
            "return_url": RETURN_URL,
            **more,
        }
    )


async def answer_page(http: httpx.AsyncClient, intent: Any, outcome: str) -> dict[str, list[str]]:
    url = intent.next_action.redirect_to_url.url
    page = await http.get(url)
    assert page.status_code == 200
    assert f'value="{outcome}"' in page.text
    gone = await http.post(url, data={"outcome": outcome})
    assert gone.status_code == 303
    location = urlsplit(gone.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == "https://shop.example/return"
    return parse_qs(location.query)


@pytest.mark.parametrize(
    "card", ["pm_card_threeDSecure2Required", "pm_card_authenticationRequired"]
)
async def test_completed_authentication_pays(api: Any, http: httpx.AsyncClient, card: str) -> None:
    intent = await waiting(api, card)
    assert intent.status == "requires_action"
    assert intent.next_action.type == "redirect_to_url"
    assert intent.next_action.redirect_to_url.return_url == RETURN_URL
    back = await answer_page(http, intent, "complete")
    assert back == {
        "order": ["7"],
        "payment_intent": [intent.id],
        "payment_intent_client_secret": [intent.client_secret],
        "redirect_status": ["succeeded"],
    }
    paid = await api.payment_intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    assert (paid.status, paid.next_action) == ("succeeded", None)
    assert paid.latest_charge.payment_method_details.card.three_d_secure.result == "authenticated"
    types = [event.type for event in reversed((await api.events.list_async()).data)]
    assert types == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_failed_authentication_asks_for_another_method(
    api: Any, http: httpx.AsyncClient
) -> None:
    intent = await waiting(api)
    back = await answer_page(http, intent, "fail")
    assert back["redirect_status"] == ["failed"]
    failed = await api.payment_intents.retrieve_async(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert failed.latest_charge is None


async def test_authenticated_but_declined(api: Any, http: httpx.AsyncClient) -> None:
    intent = await waiting(api, "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
    back = await answer_page(http, intent, "complete")
    assert back["redirect_status"] == ["failed"]
    failed = await api.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error.decline_code == "insufficient_funds"


async def test_authentication_of_a_hold(api: Any, http: httpx.AsyncClient) -> None:
    intent = await waiting(api, capture_method="manual")
    await answer_page(http, intent, "complete")
    held = await api.payment_intents.retrieve_async(intent.id)
    assert held.status == "requires_capture"


async def test_manual_confirmation_is_confirmed_again(api: Any, http: httpx.AsyncClient) -> None:
    intent = await waiting(api, confirmation_method="manual")
    await answer_page(http, intent, "complete")
    proven = await api.payment_intents.retrieve_async(intent.id)
    assert proven.status == "requires_confirmation"
    assert (await api.payment_intents.confirm_async(intent.id)).status == "succeeded"


async def test_the_page_answers_once(api: Any, http: httpx.AsyncClient, control: Control) -> None:
    intent = await waiting(api)
    url = intent.next_action.redirect_to_url.url
    for _ in range(2):
        assert (await http.post(url, data={"outcome": "complete"})).status_code == 303
    assert (await http.get(url)).status_code == 303
    assert len((await control.get("record"))["charges"]) == 1


async def test_no_return_url_means_no_redirect(api: Any, http: httpx.AsyncClient) -> None:
    intent = await api.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "allowed_payment_method_types": ["card"],
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
        }
    )
    assert intent.next_action.type == "use_stripe_sdk"
    page = await http.post(
        intent.next_action.use_stripe_sdk.stripe_js, data={"outcome": "complete"}
    )
    assert (page.status_code, "succeeded" in page.text) == (200, True)
    assert (await api.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_canceled_while_waiting(api: Any, http: httpx.AsyncClient) -> None:
    intent = await waiting(api)
    url = intent.next_action.redirect_to_url.url
    await api.payment_intents.cancel_async(intent.id)
    back = await http.post(url, data={"outcome": "complete"})
    assert "redirect_status=failed" in back.headers["location"]
    assert (await api.payment_intents.retrieve_async(intent.id)).status == "canceled"


async def test_merchant_may_ask_for_a_challenge(api: Any) -> None:
    options = {"card": {"request_three_d_secure": "challenge"}}
    intent = await waiting(api, "pm_card_visa", payment_method_options=options)
    assert intent.status == "requires_action"
    assert intent.payment_method_options.card.request_three_d_secure == "challenge"


async def test_pages_that_are_not(api: Any, http: httpx.AsyncClient) -> None:
    intent = await waiting(api)
    url = intent.next_action.redirect_to_url.url
    assert (await http.get(f"{url}x")).status_code == 404
    assert (await http.get("/3d_secure/pi_unknown/x")).status_code == 404
    assert (await http.put(url)).status_code == 404
    assert (await http.post(url, data={"outcome": "maybe"})).status_code == 400
    assert (await api.payment_intents.retrieve_async(intent.id)).status == "requires_action"
