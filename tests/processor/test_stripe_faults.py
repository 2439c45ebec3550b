"""What Stripe's troubles mean, one request at a time: what settles an attempt and what does not."""

import asyncio
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.kernel.context import PaymentMethod
from services.processor.adapters.stripe.adapter import StripeAdapter
from services.processor.adapters.stripe.api import Answer, StripeApi
from services.processor.domain.verdict import NotSent
from tests.processor.conftest import Outside, behind_door, opened, processor
from tests.processor.house import House, error_code, outcome


@pytest.mark.parametrize("fault", ["reply_lost", "garbage", "wrong_amount", "wrong_currency"])
async def test_an_intent_that_may_not_be_ours_is_not_confirmed(
    stripe_house: House, outside: Outside, fault: str
) -> None:
    attempt = stripe_house.attempt("authorize")
    await outside.strike("payment_intents.create", fault)
    assert outcome(await stripe_house.send(attempt)) == "UNKNOWN"
    assert (await outside.record("charges"))["charges"] == []
    assert outcome(await stripe_house.send(attempt)) == "SUCCEEDED"
    record = await outside.record("payment_intents", "charges")
    assert (len(record["payment_intents"]), len(record["charges"])) == (1, 1)


async def test_a_creation_that_ended_in_trouble_settles_the_attempt(
    stripe_house: House, outside: Outside
) -> None:
    attempt = stripe_house.attempt("authorize")
    await outside.strike("payment_intents.create", "server_error")
    assert outcome(await stripe_house.send(attempt)) == "UNKNOWN"
    found = await stripe_house.lookup(attempt)
    assert (outcome(found), error_code(found)) == ("FAILED", "PROCESSING_ERROR")
    assert not found.retryable
    again = await stripe_house.send(attempt)
    assert (outcome(again), again.decline_code) == ("FAILED", "api_error")
    assert (await outside.record("charges"))["charges"] == []


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
@pytest.mark.parametrize(
    ("fault", "settled"), [("server_error", "FAILED"), ("server_error_after", "SUCCEEDED")]
)
async def test_trouble_that_is_replayed_is_over_and_the_object_tells_how_it_ended(
    stripe_house: House, outside: Outside, operation: str, fault: str, settled: str
) -> None:
    attempt = await stripe_house.prepared(operation)
    await outside.strike(operation, fault)
    assert outcome(await stripe_house.send(attempt)) == "UNKNOWN"
    again = await stripe_house.send(attempt)
    assert outcome(again) == settled
    assert not again.retryable
    # A word of Stripe's own tells it from a request that was merely turned away.
    assert bool(again.decline_code) == (settled == "FAILED")


@pytest.mark.parametrize("form", ["garbage_html", "garbage_truncated", "garbage_bytes", "reset"])
@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
async def test_no_form_of_garbage_is_taken_for_an_answer(
    stripe_house: House, outside: Outside, operation: str, form: str
) -> None:
    attempt = await stripe_house.prepared(operation)
    await outside.strike(operation, form)
    assert outcome(await stripe_house.send(attempt)) == "UNKNOWN"
    assert outcome(await stripe_house.lookup(attempt)) == "SUCCEEDED"


@pytest.mark.parametrize("question", ["payment_intents.retrieve", "payment_intents.create"])
@pytest.mark.parametrize("fault", ["rate_limited", "garbage", "garbage_html", "wrong_amount"])
async def test_a_lookup_that_fails_says_nothing_of_the_attempt(
    stripe_house: House, outside: Outside, question: str, fault: str
) -> None:
    attempt = stripe_house.attempt("authorize")
    sent = await stripe_house.send(attempt)
    await outside.strike(question, fault)
    found = await stripe_house.lookup(attempt)
    assert outcome(found) == "UNKNOWN"
    assert not found.retryable
    again = await stripe_house.lookup(attempt)
    assert (outcome(again), again.processor_reference) == ("SUCCEEDED", sent.processor_reference)


async def test_a_refused_confirmation_after_an_earlier_call_leaves_it_unknown(
    stripe_house: House, outside: Outside
) -> None:
    attempt = stripe_house.attempt("authorize")
    await outside.strike("authorize", "reply_lost")
    await stripe_house.send(attempt)
    await outside.strike("authorize", "rate_limited")
    again = await stripe_house.send(attempt)
    # Only this request was turned away; the earlier one has held the amount.
    assert (outcome(again), again.retryable) == ("UNKNOWN", False)
    assert outcome(await stripe_house.send(attempt)) == "SUCCEEDED"


class Unreachable(StripeApi):
    """A Stripe that goes out of reach once the intent is created."""

    async def confirm_intent(self, intent_id: str, params: Mapping[str, Any], key: str) -> Answer:
        raise NotSent("refused")


async def test_a_confirmation_not_sent_settles_only_what_was_never_sent_before(
    stripe_house: House, outside: Outside
) -> None:
    adapter = StripeAdapter(Unreachable("sk_test_merchant", outside.url))
    one = processor("stripe", adapter, methods=[PaymentMethod.CARD])
    known = stripe_house.attempt("authorize")
    await outside.strike("authorize", "reply_lost")
    await stripe_house.send(known)
    async with behind_door([one]) as stub:
        house = House(stub, "stripe")
        again = await house.send(known)
        assert (outcome(again), again.retryable) == ("UNKNOWN", False)
        new = await house.send(house.attempt("authorize"))
        assert (outcome(new), new.retryable) == ("FAILED", True)
    found = await stripe_house.lookup(known)
    assert again.processor_reference == found.processor_reference
    assert outcome(found) == "SUCCEEDED"


async def test_a_key_that_stripe_has_forgotten_makes_no_second_intent(
    stripe_house: House, outside: Outside
) -> None:
    attempt = stripe_house.attempt("authorize")
    sent = await stripe_house.send(attempt)
    await outside.order("clock", advance_seconds=25 * 3600)
    attempt.key_expires_at.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    found = await stripe_house.lookup(attempt)
    assert outcome(found) == "SUCCEEDED"
    assert found.processor_reference == sent.processor_reference
    assert len((await outside.record("payment_intents"))["payment_intents"]) == 1


async def test_an_attempt_that_is_still_under_way_is_unknown(
    stripe_house: House, outside: Outside
) -> None:
    attempt = stripe_house.attempt("authorize")
    await outside.order(
        "faults", operation="payment_intents.confirm", kind="slow", delay_ms=3000, count=1
    )
    results = await asyncio.gather(stripe_house.send(attempt), stripe_house.send(attempt))
    first, second = sorted(results, key=outcome)
    assert (outcome(first), outcome(second)) == ("SUCCEEDED", "UNKNOWN")
    assert second.raw["http_status"] == 409
    assert not second.retryable


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
async def test_a_processor_that_was_not_reached_has_done_nothing(operation: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with behind_door([opened("stripe", url)]) as stub:
            house = House(stub, "stripe")
            attempt = house.attempt(operation, hold="" if operation == "authorize" else "pi_1")
            result = await house.send(attempt)
            assert (outcome(result), error_code(result)) == ("FAILED", "NETWORK_FAILURE")
            assert result.retryable
            assert outcome(await house.lookup(attempt)) == "UNKNOWN"


async def test_a_name_that_does_not_resolve_is_a_processor_not_reached() -> None:
    async with behind_door([opened("stripe", "http://stripe.invalid")]) as stub:
        house = House(stub, "stripe")
        result = await house.send(house.attempt("authorize"))
        assert (outcome(result), error_code(result)) == ("FAILED", "NETWORK_FAILURE")


async def test_a_key_that_opens_no_account_fails_without_blaming_the_card(
    outside: Outside,
) -> None:
    refused = "rk_test_" + "x" * 300
    async with behind_door([opened("stripe", outside.url, refused)]) as stub:
        house = House(stub, "stripe")
        result = await house.send(house.attempt("authorize"))
        assert (outcome(result), error_code(result)) == ("FAILED", "PROCESSING_ERROR")
        assert not result.retryable
        assert outcome(await house.lookup(house.attempt("authorize"))) == "UNKNOWN"


@pytest.mark.parametrize("operation", ["authorize", "charge"])
@pytest.mark.parametrize(("button", "expected"), [("complete", "SUCCEEDED"), ("fail", "FAILED")])
async def test_an_authentication_ends_at_the_customers_page(
    stripe_house: House, button: str, expected: str, operation: str
) -> None:
    attempt = stripe_house.attempt(operation, card="pm_card_threeDSecure2Required")
    waiting = await stripe_house.send(attempt)
    assert outcome(await stripe_house.lookup(attempt)) == "REQUIRES_ACTION"
    async with httpx.AsyncClient() as browser:
        page = waiting.next_action.redirect.redirect_url
        answer = await browser.post(page, data={"outcome": button})
        assert answer.status_code == 303, answer.text
    found = await stripe_house.lookup(attempt)
    assert outcome(found) == expected
    is_taken = expected == "SUCCEEDED" and operation == "charge"
    assert found.HasField("amount_captured") is is_taken
    if expected == "FAILED":
        assert error_code(found) == "AUTHENTICATION_REQUIRED"


async def test_an_authorization_given_up_is_failed_when_it_is_looked_up(
    stripe_house: House,
) -> None:
    attempt = stripe_house.attempt("authorize", card="pm_card_threeDSecure2Required")
    waiting = await stripe_house.send(attempt)
    await stripe_house.send(stripe_house.attempt("void", hold=waiting.processor_reference))
    found = await stripe_house.lookup(attempt)
    assert (outcome(found), found.retryable) == ("FAILED", False)


async def test_a_capture_tells_the_fee(stripe_house: House) -> None:
    capture = stripe_house.attempt("capture", hold=await stripe_house.hold())
    result = await stripe_house.send(capture)
    assert result.processor_fee.currency == "USD"
    assert result.processor_fee.amount_minor > 0
    assert (await stripe_house.lookup(capture)).processor_fee == result.processor_fee


@pytest.mark.parametrize(
    ("amount_minor", "currency", "at_stripe"),
    [
        (500, "JPY", 500),
        (12340, "KWD", 12340),
        (900, "ISK", 90000),
        (900, "UGX", 90000),
        (120000, "MGA", 1200),
    ],
)
async def test_amounts_go_out_as_stripe_counts_and_come_back_as_the_iso_does(
    stripe_house: House, outside: Outside, amount_minor: int, currency: str, at_stripe: int
) -> None:
    reference = await stripe_house.captured(amount_minor, currency=currency)
    refund = stripe_house.attempt("refund", amount_minor, currency=currency, hold=reference)
    result = await stripe_house.send(refund)
    assert outcome(result) == "SUCCEEDED"
    assert result.amount_processed.amount_minor == amount_minor
    [intent] = (await outside.record("payment_intents"))["payment_intents"]
    assert intent["amount"] == at_stripe


async def test_an_amount_that_stripe_has_no_number_for_is_not_sent(
    stripe_house: House, outside: Outside
) -> None:
    attempt = stripe_house.attempt("authorize", 120050, currency="MGA")
    result = await stripe_house.send(attempt)
    assert (outcome(result), result.retryable) == ("FAILED", False)
    assert (await outside.record("attempts"))["attempts"] == []


async def test_the_second_of_two_accounts_holds_nothing_of_the_first(outside: Outside) -> None:
    two = [
        opened("stripe", outside.url, "sk_test_first", named="stripe_us"),
        opened("stripe", outside.url, "sk_test_second", named="stripe_eu"),
    ]
    async with behind_door(two) as stub:
        us, eu = House(stub, "stripe_us"), House(stub, "stripe_eu")
        reference = await us.hold()
        capture = await eu.send(eu.attempt("capture", hold=reference))
        assert outcome(capture) == "FAILED"
        assert await eu.events() == []
        assert outcome(await us.send(us.attempt("capture", hold=reference))) == "SUCCEEDED"


async def test_an_intent_is_found_among_many_when_its_key_may_be_forgotten(
    stripe_house: House,
) -> None:
    attempt = stripe_house.attempt("authorize")
    sent = await stripe_house.send(attempt)
    await asyncio.gather(*(stripe_house.hold() for _ in range(120)))
    attempt.key_expires_at.FromDatetime(attempt.created_at.ToDatetime() + timedelta(milliseconds=1))
    found = await stripe_house.lookup(attempt)
    assert found.processor_reference == sent.processor_reference


async def test_who_cannot_come_back_from_the_banks_page_is_not_sent_there(
    stripe_house: House, outside: Outside
) -> None:
    attempt = stripe_house.attempt("authorize", card="pm_card_threeDSecure2Required")
    attempt.ClearField("return_url")
    result = await stripe_house.send(attempt)
    assert (outcome(result), error_code(result)) == ("FAILED", "AUTHENTICATION_REQUIRED")
    (intent,) = (await outside.record("payment_intents"))["payment_intents"]
    assert intent["state"] == "requires_payment_method"
    attempt = stripe_house.attempt("authorize")
    attempt.ClearField("return_url")
    assert outcome(await stripe_house.send(attempt)) == "SUCCEEDED"
