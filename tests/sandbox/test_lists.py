"""Lists: newest first, by cursor in both directions, by time, by type; ids expanded on request."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Control
from tests.sandbox.test_refunds import paid

USD = {"amount": 1000, "currency": "usd"}


async def created(api: Any, count: int) -> list[str]:
    return [(await api.payment_intents.create_async(USD)).id for _ in range(count)]


async def test_cursor_walks_every_object_once(api: Any) -> None:
    ids = await created(api, 7)
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await api.payment_intents.list_async({"limit": 3, **after})
        seen += [intent.id for intent in page.data]
        if not page.has_more:
            break
        after = {"starting_after": page.data[-1].id}
    assert seen == ids[::-1]


async def test_sdk_pages_by_itself(api: Any) -> None:
    ids = await created(api, 5)
    page = await api.payment_intents.list_async({"limit": 2})
    assert [intent.id async for intent in page.auto_paging_iter()] == ids[::-1]


async def test_ending_before_walks_back(api: Any) -> None:
    ids = (await created(api, 6))[::-1]
    page = await api.payment_intents.list_async({"limit": 2, "ending_before": ids[4]})
    assert [intent.id for intent in page.data] == ids[2:4]
    assert page.has_more
    assert page.url == "/v1/payment_intents"


async def test_events_are_a_cursor_too(api: Any) -> None:
    await created(api, 3)
    first = (await api.events.list_async({"limit": 1})).data[0]
    await created(api, 2)
    newer = await api.events.list_async({"ending_before": first.id})
    assert len(newer.data) == 2
    assert (await api.events.retrieve_async(first.id)).to_dict() == first.to_dict()


async def test_created_bounds(api: Any, control: Control) -> None:
    await control.post("clock", frozen=True)
    [old] = await created(api, 1)
    now = (await control.post("clock", advance_seconds=100))["now"]
    [new] = await created(api, 1)

    async def listed(**bounds: Any) -> list[str]:
        page = await api.payment_intents.list_async(bounds)
        return [intent.id for intent in page.data]

    assert await listed(created={"gte": now}) == [new]
    assert await listed(created={"lt": now}) == [old]
    assert await listed(created=now) == [new]
    assert await listed(created={"gt": now}) == []


async def test_event_types(api: Any) -> None:
    await paid(api)

    async def listed(**filters: Any) -> set[str]:
        return {event.type for event in (await api.events.list_async(filters)).data}

    assert await listed(type="charge.*") == {"charge.succeeded"}
    assert await listed(type="charge.succeeded") == {"charge.succeeded"}
    both = ["charge.succeeded", "payment_intent.created"]
    assert await listed(types=both) == set(both)
    assert await listed(type="nothing.at.all") == set()
    with pytest.raises(stripe.InvalidRequestError):
        await listed(type="charge.*", types=both)


async def test_balance_transactions_by_source_and_type(api: Any) -> None:
    intent = await paid(api)
    refund = await api.refunds.create_async({"payment_intent": intent.id})

    async def listed(**filters: Any) -> list[int]:
        page = await api.balance_transactions.list_async(filters)
        return [each.amount for each in page.data]

    assert await listed() == [-1000, 1000]
    assert await listed(source=refund.id) == [-1000]
    assert await listed(type="charge") == [1000]
    assert await listed(currency="eur") == []
    assert await listed(payout="po_none") == []


async def test_money_becomes_available(api: Any, control: Control) -> None:
    ordinary = await paid(api, expand=["latest_charge.balance_transaction"])
    movement = ordinary.latest_charge.balance_transaction
    assert movement.status == "pending"
    at_once = await paid(api, "pm_card_bypassPending", expand=["latest_charge.balance_transaction"])
    assert at_once.latest_charge.balance_transaction.status == "available"
    await control.post("clock", advance_seconds=3 * 24 * 3600)
    later = await api.balance_transactions.retrieve_async(movement.id)
    assert later.status == "available"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"starting_after": "pi_unknown"}, "starting_after"),
        ({"ending_before": "evt_unknown"}, "ending_before"),
        ({"created": {"about": 5}}, "created[about]"),
        ({"created": "yesterday"}, "created"),
        ({"status": "succeeded"}, "status"),
    ],
)
async def test_bad_list_parameters(api: Any, params: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.list_async(params)
    assert refused.value.param == param


async def test_two_cursors_are_refused(api: Any) -> None:
    [only] = await created(api, 1)
    with pytest.raises(stripe.InvalidRequestError):
        await api.payment_intents.list_async({"starting_after": only, "ending_before": only})


async def test_expansion_in_lists_and_in_depth(api: Any) -> None:
    intent = await paid(api)
    page = await api.payment_intents.list_async(
        {"expand": ["data.latest_charge.balance_transaction", "data.payment_method"]}
    )
    assert page.data[0].latest_charge.balance_transaction.source == intent.latest_charge
    assert page.data[0].payment_method.card.last4 == "4242"
    movement = await api.balance_transactions.retrieve_async(
        page.data[0].latest_charge.balance_transaction.id, {"expand": ["source"]}
    )
    assert movement.source.object == "charge"


@pytest.mark.parametrize("path", ["amount", "latest_charge.card", "a.b.c.d.e.f"])
async def test_what_cannot_be_expanded(api: Any, path: str) -> None:
    intent = await paid(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.payment_intents.retrieve_async(intent.id, {"expand": [path]})
    assert refused.value.param == "expand"
