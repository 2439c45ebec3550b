"""Who may ask: keys, scopes, suspended merchants, operators, and limits of attempts."""

import uuid

import pytest
from payments.access.v1 import access_service_pb2 as access_pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.merchant_pb2 import MERCHANT_STATE_SUSPENDED

from tests.gateway.http.stage import Shop, Stage, order, told

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer syk_nonsense"},
        {"Authorization": f"Bearer syk_{'a' * 49}"},
        {"Authorization": f"Bearer {'a' * 10_000}"},
        {"Authorization": "Basic c3lrXzE6"},
        {"Authorization": "Bearer Ünïcode".encode("latin-1")},
    ],
)
async def test_without_a_key_that_is_taken_nothing_is_told(
    stage: Stage, headers: dict[str, str]
) -> None:
    answer = told(await stage.http.get("/api/v1/payments", headers=headers))
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_key_is_not_taken_a_second_later(stage: Stage) -> None:
    shop = await stage.merchant()
    assert (await shop.get("/payments")).status == 200
    access = AccessServiceStub(stage.system.channel)
    (key,) = (
        await access.ListApiKeys(access_pb.ListApiKeysRequest(merchant_id=shop.merchant_id))
    ).api_keys
    await access.RevokeApiKey(
        access_pb.RevokeApiKeyRequest(
            idempotency_key=str(uuid.uuid4()), merchant_id=shop.merchant_id, api_key_id=key.id
        )
    )
    # A call that was believed a moment ago may be believed for a quarter of a second more.
    stage.clock.step(seconds=1)
    assert (await shop.get("/payments")).status == 401


@pytest.mark.parametrize(
    ("scopes", "method", "path", "missing"),
    [
        (("payments:write",), "GET", "/payments", "payments:read"),
        (("payments:read",), "POST", "/payments", "payments:write"),
        (("payments:read",), "POST", "/payment_intents", "payments:write"),
        (("payments:write",), "POST", "/payments/x/refund", "refunds:write"),
        (("payments:write",), "POST", "/ledger/transactions", "ledger:write"),
        (("payments:write",), "GET", "/ledger/transactions/x", "ledger:read"),
    ],
)
async def test_a_key_that_does_not_allow_it_is_told_which_scope_is_missing(
    stage: Stage, scopes: tuple[str, ...], method: str, path: str, missing: str
) -> None:
    shop = await stage.merchant(scopes=scopes)
    answer = await shop.send(method, path, order() if method == "POST" else None)
    assert (answer.status, answer.code) == (403, "permission_denied")
    assert answer.body["details"] == {"missing_scope": missing}


async def test_an_operator_has_no_payments_of_its_own(stage: Stage) -> None:
    operator = await stage.operator()
    assert (await operator.post("/payments", order())).status == 403
    assert (await operator.get("/idempotency/order-17")).status == 403


async def test_a_suspended_merchant_asks_for_no_payment_and_returns_what_it_has(
    stage: Stage,
) -> None:
    shop = await stage.merchant()
    payment = await shop.pay(1000)
    await _suspend(stage, shop)
    stage.clock.step(seconds=1)
    refused = await shop.post("/payments", order())
    assert (refused.status, refused.code) == (403, "merchant_suspended")
    assert (await shop.post("/payment_intents", order())).status == 403
    assert (await shop.get(f"/payments/{payment['id']}")).status == 200
    assert (await shop.post(f"/payments/{payment['id']}/refund")).status == 201


async def test_a_sixth_attempt_of_a_user_within_an_hour_is_a_429_that_says_until_when(
    stage: Stage,
) -> None:
    shop = await stage.merchant()
    body = order(user_id="user-17")
    first = await shop.post("/payments", body, key="first")
    for _ in range(4):
        assert (await shop.post("/payments", body)).status == 201
    answer = await shop.post("/payments", body)
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    again = await shop.post("/payments", body, key="first")
    assert (again.status, again.body) == (201, first.body)
    assert (await shop.post("/payments", order(user_id="user-18"))).status == 201


async def _suspend(stage: Stage, shop: Shop) -> None:
    await AccessServiceStub(stage.system.channel).UpdateMerchant(
        access_pb.UpdateMerchantRequest(
            idempotency_key=str(uuid.uuid4()),
            merchant_id=shop.merchant_id,
            expected_version=1,
            state=MERCHANT_STATE_SUSPENDED,
        )
    )
