"""Payments over HTTP: each way one can go, and what the merchant is told of it."""

import pytest

from tests.gateway.http.stage import Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_payment_is_carried_out_and_shown_as_it_was_decided(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order(metadata={"order": "17"}, user_id="user-17"))
    assert answer.status == 201, answer.text
    payment = answer.body
    assert payment["status"] == "captured"
    print(payment)
