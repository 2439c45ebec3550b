"""No merchant sees or touches what is another's: every address of the document, tried."""

from typing import Any

import pytest
import pytest_asyncio

from services.kernel.ids import LedgerTransactionId, PaymentId, RefundId
from tests.gateway.http.declared import DOCUMENT
from tests.gateway.http.stage import JsonObject, Shop, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PREFIX = "/api/v1"
_UNKNOWN = {
    "payment_id": str(PaymentId.new()),
    "refund_id": str(RefundId.new()),
    "transaction_id": str(LedgerTransactionId.new()),
    "key": "a key that nobody used",
}
# What only an operator may do is forbidden before anything is looked for.
_OPERATORS = {"postLedgerTransaction", "getLedgerTransaction", "refundAnyPayment"}
# Keys are each merchant's own: another's was never seen. Lists hold one's own alone.
_OWN_BY_NATURE = {"getIdempotencyKey": 200, "listPayments": 200}
# These make something of the caller's own, and name nothing.
_MAKE = {"createPayment", "createPaymentIntent"}

_OPERATIONS = [
    pytest.param(method, path, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if operation["security"] and operation["operationId"] not in _MAKE
]


class Victim:
    """A merchant with one of everything."""

    def __init__(self, shop: Shop, ids: dict[str, str], held_id: str) -> None:
        self.shop = shop
        self.ids = ids
        self.held_id = held_id

    async def everything(self) -> list[JsonObject]:
        payments = (await self.shop.get("/payments")).body["data"]
        # Postings go on by themselves.
        own = [{**each, "posting": "", "updated_at": ""} for each in payments]
        return [*own, (await self.shop.get(f"/refunds/{self.ids['refund_id']}")).body]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(stage: Stage) -> Victim:
    shop, operator = await stage.merchant(), await stage.operator()
    captured = await shop.pay(1000)
    held = await shop.post(
        "/payments",
        {"amount": 700, "payment_method": "pm_card_visa", "capture_method": "manual"},
        key="the victim's key",
    )
    refund = await shop.post(f"/payments/{captured['id']}/refund", {"amount": 100})
    entries = [{"account": "a:x", "amount": 5}, {"account": "a:y", "amount": -5}]
    posted = await operator.post(
        "/ledger/transactions", {"referenceId": captured["id"], "entries": entries}
    )
    ids = {
        "payment_id": captured["id"],
        "refund_id": refund.body["id"],
        "transaction_id": posted.body["id"],
        "key": "the victim's key",
    }
    return Victim(shop, ids, held.body["id"])


@pytest.mark.parametrize(("method", "path", "operation"), _OPERATIONS)
async def test_another_merchant_s_ids_are_as_unknown_as_those_of_nobody(
    stage: Stage, victim: Victim, method: str, path: str, operation: Any
) -> None:
    name = operation["operationId"]
    before = await victim.everything()
    stranger = await stage.merchant()
    body = _example(operation)
    for ids in (victim.ids, {**victim.ids, "payment_id": victim.held_id}):
        theirs = await _ask(stranger, method, path, ids, body)
        nobodys = await _ask(stranger, method, path, _UNKNOWN, body)
        expected = _OWN_BY_NATURE.get(name, 403 if name in _OPERATORS else 404)
        assert (theirs.status, nobodys.status) == (expected, expected), theirs.text
        assert _anonymous(theirs.body) == _anonymous(nobodys.body)
    assert await victim.everything() == before


async def test_every_parameter_in_a_path_is_tried(victim: Victim) -> None:
    named = {
        parameter["name"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "path"
    }
    assert named == set(victim.ids)


async def test_a_cursor_of_another_merchant_s_list_leads_nowhere(stage: Stage) -> None:
    shop, stranger = await stage.merchant(), await stage.merchant()
    for _ in range(2):
        await shop.pay()
    cursor = (await shop.get("/payments?limit=1")).body["next_cursor"]
    answer = await stranger.get(f"/payments?limit=1&cursor={cursor}")
    assert (answer.status, answer.body["param"]) == (400, "cursor")


async def test_an_operator_sees_every_merchant_s_payments(stage: Stage, victim: Victim) -> None:
    operator = await stage.operator()
    shown = await operator.get(f"/payments/{victim.ids['payment_id']}")
    assert shown.body["id"] == victim.ids["payment_id"]


async def _ask(shop: Shop, method: str, path: str, ids: dict[str, str], body: Any) -> Any:
    filled = path.format(**ids).removeprefix(_PREFIX)
    if body is not None and "payment_id" in body:
        body = {**body, "payment_id": ids["payment_id"]}
    return await shop.send(method.upper(), filled, body)


def _example(operation: Any) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    example = next((each["schema"]["example"] for each in content.values()), None)
    # An amount that either payment has room for.
    return {**example, "amount": 50} if example and "amount" in example else example


def _anonymous(body: Any) -> Any:
    return {**body, "request_id": "", "idempotency_key": ""}
