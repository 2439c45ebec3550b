"""Refunds over HTTP, by merchants and by operators."""

import pytest

from services.kernel.ids import RefundId
from tests.gateway.http.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_payment_is_returned_in_parts_until_nothing_is_left(stage: Stage) -> None:
    shop = await stage.merchant()
    payment = await shop.pay(1000)
    path = f"/payments/{payment['id']}/refund"
    part = await shop.post(path, {"amount": 400, "reason": "returned"})
    assert (part.status, part.body["amount"], part.body["status"]) == (201, 400, "succeeded")
    assert (part.body["payment_id"], part.body["reason"]) == (payment["id"], "returned")
    rest = await shop.post(path)
    assert (rest.status, rest.body["amount"]) == (201, 600)
    shown = (await shop.get(f"/payments/{payment['id']}")).body
    assert (shown["status"], shown["amount_refunded"]) == ("refunded", 1000)


async def test_a_second_full_refund_is_refused(stage: Stage) -> None:
    shop = await stage.merchant()
    path = f"/payments/{(await shop.pay(1000))['id']}/refund"
    assert (await shop.post(path)).status == 201
    again = await shop.post(path)
    assert (again.status, again.code) == (409, "already_refunded")


async def test_more_than_what_is_left_is_refused(stage: Stage) -> None:
    shop = await stage.merchant()
    path = f"/payments/{(await shop.pay(1000))['id']}/refund"
    assert (await shop.post(path, {"amount": 800})).status == 201
    answer = await shop.post(path, {"amount": 300})
    assert (answer.status, answer.code) == (409, "refund_headroom_exceeded")


async def test_what_was_not_captured_is_not_returned(stage: Stage) -> None:
    shop = await stage.merchant()
    held = await shop.pay(1000, capture_method="manual")
    answer = await shop.post(f"/payments/{held['id']}/refund")
    assert (answer.status, answer.code) == (409, "not_captured")


async def test_a_refund_in_another_currency_is_refused_naming_its_amount(stage: Stage) -> None:
    shop = await stage.merchant()
    path = f"/payments/{(await shop.pay(1000))['id']}/refund"
    answer = await shop.post(path, {"amount": 100, "currency": "EUR"})
    assert (answer.status, answer.body["param"]) == (400, "amount")
    (issue,) = answer.body["validation_issues"]
    assert issue["rule"] == "currency.not_the_payments"


async def test_a_refund_that_the_processor_has_not_decided_is_a_202(stage: Stage) -> None:
    shop = await stage.merchant()
    payment = await shop.pay(1000, payment_method="pm_card_pendingRefund")
    answer = await shop.post(f"/payments/{payment['id']}/refund")
    assert (answer.status, answer.body["status"]) == (202, "pending")


async def test_a_refund_is_shown_to_its_merchant(stage: Stage) -> None:
    shop = await stage.merchant()
    payment = await shop.pay(1000)
    refund = (await shop.post(f"/payments/{payment['id']}/refund")).body
    shown = await shop.get(f"/refunds/{refund['id']}")
    assert (shown.status, shown.body) == (200, {**refund, "validation_issues": []})
    stranger = await stage.merchant()
    assert (await stranger.get(f"/refunds/{refund['id']}")).status == 404
    assert (await shop.get(f"/refunds/{RefundId.new()}")).status == 404


async def test_any_payment_is_returned_by_an_operator_alone(stage: Stage) -> None:
    shop, operator = await stage.merchant(), await stage.operator()
    body = {"payment_id": (await shop.pay(1000))["id"], "amount": 400}
    refused = await shop.post("/refunds", body)
    assert (refused.status, refused.code) == (403, "permission_denied")
    answer = await operator.post("/refunds", body, key="operator-1")
    assert (answer.status, answer.body["amount"]) == (201, 400)
    again = await operator.post("/refunds", body, key="operator-1")
    assert again.body == answer.body


async def test_an_operator_s_refund_names_its_payment(stage: Stage) -> None:
    operator = await stage.operator()
    answer = await operator.post("/refunds", {"amount": 400})
    assert (answer.status, answer.body["param"]) == (400, "payment_id")


async def test_a_refund_wants_its_scope(stage: Stage) -> None:
    shop = await stage.merchant()
    payment = await shop.pay(1000)
    narrow = await stage.key_of(shop.merchant_id, ("payments:read", "payments:write"))
    answer = await narrow.post(f"/payments/{payment['id']}/refund")
    assert (answer.status, answer.body["details"]) == (403, {"missing_scope": "refunds:write"})
