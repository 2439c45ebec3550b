"""Lists of payments: pages, filters, and where to go on."""

import pytest

from tests.gateway.http.stage import Shop, Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_pages_hold_every_payment_once_newest_first(stage: Stage) -> None:
    shop = await stage.merchant()
    made = [(await shop.pay(100 + number))["id"] for number in range(5)]
    pages, cursor = [], ""
    while True:
        page = (await shop.get(f"/payments?limit=2{cursor}")).body
        assert page["object"] == "list"
        pages.append([payment["id"] for payment in page["data"]])
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [each for page in pages for each in page] == made[::-1]


async def test_a_list_leaves_out_what_is_not_asked_for(stage: Stage) -> None:
    shop = await stage.merchant()
    captured = await shop.pay(user_id="user-1")
    held = await shop.pay(user_id="user-2", capture_method="manual")
    await shop.post("/payments", order(payment_method="pm_card_visa_chargeDeclined"))
    assert await _ids(shop, "user_id=user-1") == [captured["id"]]
    assert await _ids(shop, "status=authorized") == [held["id"]]
    assert await _ids(shop, "status=authorized,captured") == [held["id"], captured["id"]]
    assert await _ids(shop, "in_doubt=true") == []
    assert await _ids(shop, f"created_before={captured['created_at']}") == []
    assert len(await _ids(shop, f"created_from={captured['created_at']}")) == 3
    assert await _ids(shop, "created_from=2999-01-01") == []


async def test_a_cursor_is_tied_to_the_filters_that_it_was_made_for(stage: Stage) -> None:
    shop = await stage.merchant()
    for _ in range(2):
        await shop.pay()
    cursor = (await shop.get("/payments?limit=1")).body["next_cursor"]
    answer = await shop.get(f"/payments?limit=1&status=captured&cursor={cursor}")
    assert (answer.status, answer.code, answer.body["param"]) == (
        400,
        "page_token_invalid",
        "cursor",
    )


async def test_a_merchant_without_payments_has_an_empty_list(stage: Stage) -> None:
    await (await stage.merchant()).pay()
    shop = await stage.merchant()
    answer = await shop.get("/payments")
    assert answer.body == {"object": "list", "data": [], "has_more": False, "next_cursor": None}


async def _ids(shop: Shop, query: str) -> list[str]:
    answer = await shop.get(f"/payments?{query}")
    assert answer.status == 200, answer.text
    return [payment["id"] for payment in answer.body["data"]]
