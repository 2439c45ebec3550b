"""One key, one effect: whatever is repeated, changed, raced or lost."""

import asyncio
import hashlib

import pytest

from tests.gateway.http.stage import Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SAME_TIME = 100


async def test_a_repeat_gets_the_first_answer_and_says_so(stage: Stage) -> None:
    shop = await stage.merchant()
    first = await shop.post("/payments", order(), key="order-17")
    again = await shop.post("/payments", order(), key="order-17")
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.body["request_id"]
    assert (again.status, again.text) == (first.status, first.text)
    await shop.post(f"/payments/{first.body['id']}/refund")
    assert (await shop.post("/payments", order(), key="order-17")).text == first.text


async def test_a_repeat_in_another_shape_is_the_same_request(stage: Stage) -> None:
    shop = await stage.merchant()
    first = await shop.post("/payments", order(1250), key="order-17")
    again = await shop.post("/payments", order("12.50 USD"), key="order-17")
    assert again.text == first.text


async def test_a_repeated_decline_is_the_same_402(stage: Stage) -> None:
    shop = await stage.merchant()
    body = order(payment_method="pm_card_visa_chargeDeclined")
    first = await shop.post("/payments", body, key="order-17")
    again = await shop.post("/payments", body, key="order-17")
    assert (first.status, again.headers["idempotent-replayed"]) == (402, "true")
    assert again.text == first.text


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"amount": 1350}, ["amount"]),
        ({"payment_method": "pm_card_amex"}, ["payment_method"]),
        ({"amount": 1, "metadata": {"order": "18"}}, ["amount", "metadata.order"]),
    ],
)
async def test_a_key_with_another_body_is_a_422_that_names_the_fields(
    stage: Stage, changed: dict[str, object], fields: list[str]
) -> None:
    shop = await stage.merchant()
    assert (await shop.post("/payments", order(), key="order-17")).status == 201
    answer = await shop.post("/payments", order(**changed), key="order-17")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert [error["field"] for error in answer.body["errors"]] == fields
    assert answer.body["param"] == fields[0]


async def test_a_key_of_another_operation_is_a_422(stage: Stage) -> None:
    shop = await stage.merchant()
    assert (await shop.post("/payments", order(), key="order-17")).status == 201
    answer = await shop.post("/payment_intents", order(), key="order-17")
    assert (answer.status, answer.body["param"]) == (422, "operation")


async def test_a_refund_is_repeated_under_its_key(stage: Stage) -> None:
    shop = await stage.merchant()
    path = f"/payments/{(await shop.pay(1000))['id']}/refund"
    first = await shop.post(path, {"amount": 400}, key="refund-1")
    again = await shop.post(path, {"amount": 400}, key="refund-1")
    assert (again.status, again.body) == (201, first.body)
    other = await shop.post(path, {"amount": 500}, key="refund-1")
    assert (other.status, other.body["param"]) == (422, "amount")


async def test_a_repeat_is_answered_though_no_plan_could_be_made_today(stage: Stage) -> None:
    shop = await stage.merchant()
    first = await shop.post("/payments", order(), key="order-17")
    await stage.configure(shop.merchant_id, ("euro",), expected_version=1)
    async with asyncio.timeout(30):
        refused = await shop.post("/payments", order())
        while refused.status == 201:
            # Whoever plans is told of the change within moments.
            refused = await shop.post("/payments", order())
    assert (refused.status, refused.code) == (422, "no_candidate")
    again = await shop.post("/payments", order(), key="order-17")
    assert (again.status, again.text) == (201, first.text)
    other = await shop.post("/payments", order(1350), key="order-17")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


async def test_header_and_body_must_name_the_same_key(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order(idempotency_key="order-18"), key="order-17")
    assert (answer.status, answer.code) == (400, "idempotency_key_mismatch")
    agreed = await shop.post("/payments", order(idempotency_key="order-17"), key="order-17")
    assert agreed.status == 201


async def test_two_headers_must_name_the_same_key(stage: Stage) -> None:
    shop = await stage.merchant()
    headers = [
        ("Authorization", f"Bearer {shop.api_key}"),
        ("Idempotency-Key", "order-17"),
        ("Idempotency-Key", "order-18"),
    ]
    response = await stage.http.post("/api/v1/payments", json=order(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_mismatch")


@pytest.mark.parametrize("key", [" ", "x" * 256])
async def test_a_key_that_is_none_is_refused(stage: Stage, key: str) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order(idempotency_key=key), key="")
    assert answer.status == 400


async def test_without_a_key_one_is_made_and_told(stage: Stage) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order(), key="")
    assert answer.status == 201
    assert answer.body["idempotency_key"].startswith("auto_")
    (issue,) = answer.body["validation_issues"]
    assert issue["rule"] == "idempotency_key.generated"


async def test_a_key_is_a_merchant_s_own(stage: Stage) -> None:
    one, other = await stage.merchant(), await stage.merchant()
    first = await one.post("/payments", order(), key="order-17")
    second = await other.post("/payments", order(), key="order-17")
    assert first.body["id"] != second.body["id"]


async def test_a_hundred_at_once_under_one_key_are_one_charge(stage: Stage) -> None:
    shop = await stage.merchant()
    answers = await asyncio.gather(
        *(shop.post("/payments", order(4321), key="order-17") for _ in range(_SAME_TIME))
    )
    assert {answer.status for answer in answers} <= {201, 409}
    told = [answer for answer in answers if answer.status == 201]
    assert len({answer.text for answer in told}) == 1
    for waiting in (answer for answer in answers if answer.status == 409):
        assert (waiting.code, waiting.headers["retry-after"]) == ("idempotency_in_flight", "1")
    # The first caller, and whoever comes now, gets the one answer there is.
    again = await shop.post("/payments", order(4321), key="order-17")
    assert [again.text] == [*{answer.text for answer in told}]
    listed = (await shop.get("/payments")).body["data"]
    assert [payment["id"] for payment in listed] == [again.body["id"]]
    story = (await shop.get(f"/payments/{again.body['id']}/explain")).body
    operations = [attempt["attempt"]["operation"] for attempt in story["attempts"]]
    assert operations == ["authorize"]
    assert story["payment"]["amount_captured"] == 4321


async def test_a_key_is_asked_about(stage: Stage) -> None:
    shop = await stage.merchant()
    unseen = await shop.get("/idempotency/order%2F17")
    assert (unseen.body["status"], unseen.body["retry_safe"]) == ("unseen", True)
    payment = (await shop.post("/payments", order(), key="order/17")).body
    done = (await shop.get("/idempotency/order%2F17")).body
    assert (done["idempotency_key"], done["status"]) == ("order/17", "done")
    assert (done["operation"], done["payment_id"]) == ("ExecutePlan", payment["id"])
    assert done["request_id"] == payment["request_id"]


async def test_a_fingerprint_tells_whether_the_key_stands_for_this_request(stage: Stage) -> None:
    shop = await stage.merchant()
    await shop.post("/payments", order(), key="order-17")
    fields = {
        "amount": "1250 USD",
        "instrument.method": "card",
        "instrument.token": "pm_card_visa",
    }
    same = await shop.get(f"/idempotency/order-17?fingerprint={_fingerprint(fields)}")
    assert same.body["status"] == "done"
    fields["amount"] = "1350 USD"
    other = await shop.get(f"/idempotency/order-17?fingerprint={_fingerprint(fields)}")
    assert (other.body["status"], other.body["retry_safe"]) == ("conflict", False)


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/idempotency/order-17?fingerprint=nonsense", "fingerprint"),
        ("/idempotency/order%00-17", "key"),
        (f"/idempotency/{'x' * 256}", "key"),
    ],
)
async def test_what_is_no_key_cannot_be_asked_about(stage: Stage, path: str, param: str) -> None:
    shop = await stage.merchant()
    answer = await shop.get(path)
    assert (answer.status, answer.body["param"]) == (400, param)


def _fingerprint(fields: dict[str, str]) -> str:
    """As docs/http.md has it."""
    lines = ["ExecutePlan"]
    lines += [f"{name}={_sha256(fields[name])}" for name in sorted(fields)]
    return _sha256("\n".join(lines))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
