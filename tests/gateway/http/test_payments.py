"""Payments over HTTP: each way one can go, and what the merchant is told of it."""

import asyncio

import pytest

from services.kernel.ids import PaymentId
from tests.gateway.http.stage import JsonObject, Shop, Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

_BOOKED_WITHIN_SECONDS = 20.0
_AMEX = "pm_card_amex"


async def booked(shop: Shop, payment_id: str) -> JsonObject:
    """The payment once the ledger has followed."""
    async with asyncio.timeout(_BOOKED_WITHIN_SECONDS):
        while True:
            payment: JsonObject = (await shop.get(f"/payments/{payment_id}")).body
            if payment["posting"] == "posted":
                return payment
            await asyncio.sleep(0.05)


async def test_a_payment_is_carried_out_and_shown_as_it_was_decided(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post(
        "/payments", order(metadata={"order": "17"}, user_id="user-17"), key="order-17"
    )
    assert answer.status == 201, answer.text
    payment = answer.body
    assert answer.headers["location"] == f"/api/v1/payments/{payment['id']}"
    assert payment["id"] == payment["payment_id"]
    shown = {name: payment[name] for name in ("object", "status", "amount", "currency", "user_id")}
    assert shown == {
        "object": "payment",
        "status": "captured",
        "amount": 1250,
        "currency": "USD",
        "user_id": "user-17",
    }
    assert (payment["amount_captured"], payment["amount_refunded"]) == (1250, 0)
    assert payment["idempotency_key"] == "order-17"
    assert payment["metadata"] == {"order": "17"}
    assert payment["validation_issues"] == []
    assert payment["result"]["success"] is True
    assert payment["result"]["total_processed"] == 1250
    assert payment["result"]["final_error"] is None


async def test_a_payment_is_shown_with_its_lines_in_the_ledger_which_balance(stage: Stage) -> None:
    shop = await stage.merchant()
    payment = await booked(shop, (await shop.pay(1250))["id"])
    ((lines),) = payment["ledger"]
    assert lines["reference_id"] == payment["id"]
    assert sum(entry["amount"] for entry in lines["entries"]) == 0
    assert {entry["currency"] for entry in lines["entries"]} == {"USD"}


async def test_a_messy_payment_becomes_the_same_as_a_strict_one_and_says_what_was_guessed(
    stage: Stage,
) -> None:
    shop = await stage.merchant()
    messy = {"Amount": "$1,234.50", "paymentMethod": "pm_card_visa", "customer": "user-1"}
    answer = await shop.post("/payments", messy)
    assert (answer.status, answer.body["amount"], answer.body["currency"]) == (201, 123450, "USD")
    rules = {issue["rule"] for issue in answer.body["validation_issues"]}
    assert {"amount.written", "field.spelling", "field.alias", "method.from_token"} <= rules
    shown = (await shop.get(f"/payments/{answer.body['id']}")).body
    assert shown["validation_issues"] == answer.body["validation_issues"]


async def test_stripe_s_names_are_taken(stage: Stage) -> None:
    shop = await stage.merchant()
    body = {
        "amount": 1250,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "payment_method_types": ["card"],
        "customer": "cus_17",
        "receipt_email": "ann@example.com",
        "description": "Two books",
        "capture_method": "manual",
        "confirm": True,
    }
    answer = await shop.post("/payment_intents", body)
    assert (answer.status, answer.body["status"]) == (201, "authorized")
    assert answer.body["metadata"] == {"description": "Two books"}


async def test_the_merchant_s_default_currency_is_meant_where_none_is_named(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", {"amount": 1250, "method": "card", "token": "pm_x"})
    assert answer.body["currency"] == "USD"


@pytest.mark.parametrize(
    ("card", "code", "decline_code", "message"),
    [
        (
            "chargeDeclinedInsufficientFunds",
            "insufficient_funds",
            "insufficient_funds",
            "Card declined due to insufficient funds",
        ),
        (
            "chargeDeclinedLostCard",
            "declined",
            "lost_card",
            "Card declined. Please use another card",
        ),
        (
            "chargeDeclinedExpiredCard",
            "expired_card",
            "expired_card",
            "Card expired. Please use a valid card",
        ),
        (
            "chargeDeclinedProcessingError",
            "processing_error",
            "processing_error",
            "Payment processing failed. Please try again",
        ),
    ],
)
async def test_a_declined_payment_is_a_402_with_the_payment_and_a_problem(
    stage: Stage, card: str, code: str, decline_code: str, message: str
) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order(payment_method=f"pm_card_visa_{card}"))
    assert answer.status == 402
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.code, answer.body["decline_code"]) == (code, decline_code)
    assert message in answer.body["detail"]
    assert answer.body["payment"]["status"] == "failed"
    assert answer.body["payment"]["result"]["final_error"]["code"] == code
    shown = await shop.get(f"/payments/{answer.body['payment']['id']}")
    assert shown.body["status"] == "failed"


async def test_a_decline_does_not_burn_the_next_attempt(stage: Stage) -> None:
    shop = await stage.merchant()
    refused = await shop.post("/payments", order(payment_method="pm_card_visa_chargeDeclined"))
    assert refused.status == 402
    assert (await shop.post("/payments", order())).status == 201


async def test_three_d_secure_is_confirming_with_an_address_for_the_customer(stage: Stage) -> None:
    shop = await stage.merchant()
    body = order(
        payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/thanks"
    )
    answer = await shop.post("/payments", body)
    assert (answer.status, answer.body["status"]) == (201, "confirming")
    assert answer.body["next_action"]["type"] == "redirect"
    assert answer.body["next_action"]["redirect_url"].startswith("http")
    assert answer.body["action_expires_at"] > answer.body["created_at"]


async def test_a_payment_in_doubt_is_a_202_that_says_so(stage: Stage) -> None:
    shop = await stage.merchant("silent")
    answer = await shop.post("/payments", order())
    assert (answer.status, answer.body["status"]) == (202, "confirming")
    assert answer.body["in_doubt"] is True
    again = await shop.get("/payments?in_doubt=true")
    assert [each["id"] for each in again.body["data"]] == [answer.body["id"]]


async def test_who_would_rather_not_wait_is_answered_202_at_once(stage: Stage) -> None:
    shop = await stage.merchant()
    headers = {"Prefer": "respond-async"}
    answer = await shop.post("/payments", order(), headers=headers)
    assert (answer.status, answer.body["status"]) == (202, "confirming")
    assert answer.headers["preference-applied"] == "respond-async"
    payment = await booked(shop, answer.body["id"])
    assert payment["status"] == "captured"


async def test_what_is_held_is_captured_in_part(stage: Stage) -> None:
    shop = await stage.merchant()
    held = await shop.pay(1000, capture_method="manual")
    assert (held["status"], held["amount_authorized"]) == ("authorized", 1000)
    answer = await shop.post(f"/payments/{held['id']}/capture", {"amount": 600})
    assert (answer.status, answer.body["status"]) == (200, "captured")
    assert (answer.body["amount_captured"], answer.body["amount_authorized"]) == (600, 0)


async def test_more_than_what_is_held_is_not_captured(stage: Stage) -> None:
    shop = await stage.merchant()
    held = await shop.pay(1000, capture_method="manual")
    answer = await shop.post(f"/payments/{held['id']}/capture", {"amount": 1001})
    assert (answer.status, answer.code) == (409, "authorized_amount_exceeded")


async def test_what_is_held_is_released_once(stage: Stage) -> None:
    shop = await stage.merchant()
    held = await shop.pay(1000, capture_method="manual")
    answer = await shop.post(f"/payments/{held['id']}/void", {"reason": "out of stock"})
    assert (answer.status, answer.body["status"]) == (200, "voided")
    late = await shop.post(f"/payments/{held['id']}/capture")
    assert (late.status, late.code) == (409, "illegal_state_transition")


async def test_an_intent_is_confirmed_later(stage: Stage) -> None:
    shop = await stage.merchant()
    intent = await shop.post("/payment_intents", order())
    assert (intent.status, intent.body["status"], intent.body["result"]) == (201, "created", None)
    answer = await shop.post(f"/payment_intents/{intent.body['id']}/confirm", {})
    assert (answer.status, answer.body["status"]) == (200, "captured")


async def test_an_intent_is_paid_with_what_its_confirmation_brings(stage: Stage) -> None:
    shop = await stage.merchant()
    intent = await shop.post("/payment_intents", order())
    declining = {"payment_method": "pm_card_visa_chargeDeclined"}
    answer = await shop.post(f"/payment_intents/{intent.body['id']}/confirm", declining)
    assert (answer.status, answer.code) == (402, "declined")


async def test_an_intent_that_is_confirmed_at_once_is_carried_out(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payment_intents", order(confirm=True))
    assert (answer.status, answer.body["status"]) == (201, "captured")


async def test_a_payment_that_is_not_to_be_confirmed_is_an_intent(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order(confirm=False))
    assert (answer.status, answer.body["status"]) == (201, "created")


async def test_a_split_fills_its_steps_in_order(stage: Stage) -> None:
    shop = await stage.merchant()
    steps = [
        {"method": "apple_pay", "max_amount": 6000, "payment_method": "tok_applePay_visa"},
        {"method": "card", "max_amount": 4000, "payment_method": _AMEX},
    ]
    body = {"amount": 10_000, "currency": "USD", "steps": steps, "split_policy": "all_or_nothing"}
    answer = await shop.post("/payments", body)
    assert answer.status == 201, answer.text
    taken = [step["amount_processed"] for step in answer.body["result"]["step_results"]]
    assert taken == [6000, 4000]


async def test_a_split_that_cannot_make_up_the_amount_is_refused(stage: Stage) -> None:
    shop = await stage.merchant()
    steps = [{"method": "card", "max_amount": 4000, "payment_method": _AMEX}]
    answer = await shop.post("/payments", {"amount": 10_000, "currency": "USD", "steps": steps})
    assert (answer.status, answer.code) == (422, "split_impossible")


async def test_a_payment_without_a_configuration_to_plan_by_is_refused(stage: Stage) -> None:
    shop = await stage.key_of(await stage.unconfigured_merchant())
    answer = await shop.post("/payments", order())
    assert (answer.status, answer.code) == (422, "config_version_not_found")


async def test_a_payment_with_nothing_to_pay_with_says_what_to_send(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", {"amount": 1250, "currency": "USD", "method": "card"})
    assert (answer.status, answer.body["param"]) == (400, "payment_method")
    assert "such as pm_card_visa, as payment_method" in answer.body["detail"]
    assert answer.body["errors"][0]["message"] == answer.body["detail"]


async def test_what_is_no_payment_is_not_found(stage: Stage) -> None:
    shop = await stage.merchant()
    unknown = await shop.get(f"/payments/{PaymentId.new()}")
    nonsense = await shop.get("/payments/nonsense")
    assert (unknown.status, unknown.code) == (404, "not_found")
    assert {**unknown.body, "request_id": ""} == {**nonsense.body, "request_id": ""}


async def test_an_address_that_there_is_none_of_leads_to_those_that_there_are(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.get("/nowhere")
    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.body["detail"] == "There is no such address: /docs lists those that there are."
