"""The ledger over HTTP, for operators."""

import pytest

from services.kernel.ids import LedgerTransactionId
from tests.gateway.http.stage import JsonObject, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


def correction(amount: int = 30, **changed: object) -> JsonObject:
    return {
        "idempotencyKey": "correction-17",
        "referenceId": "order-17",
        "entries": [
            {"account": "platform:fees", "amount": -amount},
            {"account": "platform:corrections", "amount": amount, "currency": "USD"},
        ],
        **changed,
    }


async def test_a_transaction_is_posted_once_and_read(stage: Stage) -> None:
    operator = await stage.operator()
    answer = await operator.post("/ledger/transactions", correction(), key="")
    assert answer.status == 201, answer.text
    posted = answer.body
    assert (posted["referenceId"], posted["idempotencyKey"]) == ("order-17", "correction-17")
    assert posted["replayed"] is False
    assert posted["entries"] == [
        {"account": "platform:fees", "amount": -30, "currency": "USD"},
        {"account": "platform:corrections", "amount": 30, "currency": "USD"},
    ]
    again = await operator.post("/ledger/transactions", correction(), key="")
    assert again.body == {**posted, "replayed": True}
    assert again.headers["idempotent-replayed"] == "true"
    shown = await operator.get(f"/ledger/transactions/{posted['id']}")
    assert (shown.status, shown.body) == (200, posted)


async def test_a_transaction_that_does_not_balance_is_refused(stage: Stage) -> None:
    operator = await stage.operator()
    body = correction(entries=[{"account": "a:x", "amount": 5}, {"account": "a:y", "amount": -4}])
    answer = await operator.post("/ledger/transactions", body, key="")
    assert (answer.status, answer.code) == (400, "transaction_unbalanced")


async def test_a_key_with_another_transaction_is_a_422(stage: Stage) -> None:
    operator = await stage.operator()
    first = correction(idempotencyKey="correction-18")
    assert (await operator.post("/ledger/transactions", first, key="")).status == 201
    other = correction(31, idempotencyKey="correction-18")
    answer = await operator.post("/ledger/transactions", other, key="")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")


async def test_a_transaction_that_there_is_none_of_is_not_found(stage: Stage) -> None:
    operator = await stage.operator()
    for name in (LedgerTransactionId.new(), "nonsense"):
        assert (await operator.get(f"/ledger/transactions/{name}")).status == 404


async def test_a_merchant_reaches_no_ledger(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/ledger/transactions", correction())
    assert (answer.status, answer.code) == (403, "permission_denied")
