"""The record: what it tells, by account, by list, page by page."""

from __future__ import annotations

from typing import Any

from tests.sandbox.conftest import Control, Merchant
from tests.sandbox.test_refunds import paid


async def test_every_list_is_there(api: Any, control: Control) -> None:
    intent = await paid(api, "pm_card_createDispute")
    record = await control.get("record")
    assert set(record) == {
        "seed",
        "now",
        "payment_intents",
        "charges",
        "refunds",
        "disputes",
        "balance_transactions",
        "attempts",
        "deliveries",
    }
    assert record["seed"] == 7
    [charge], [dispute] = record["charges"], record["disputes"]
    assert charge["payment_intent"] == dispute["payment_intent"] == intent.id
    assert charge["request_id"] == record["attempts"][0]["request_id"]


async def test_attempts_tell_what_was_asked_and_answered(api: Any, control: Control) -> None:
    intent = await paid(api, metadata={"attempt": "a1"})
    await control.http.post("/v1/refunds", headers={"Authorization": "Bearer nonsense"})
    first, refused = await control.attempts()
    assert first["operation"] == "payment_intents.create"
    assert (first["method"], first["path"]) == ("POST", "/v1/payment_intents")
    assert (first["outcome"], first["status"]) == ("executed", 200)
    assert first["object_id"] == intent.id
    assert '"metadata":{"attempt":"a1"}' in first["parameters"]
    assert (refused["outcome"], refused["status"]) == ("refused", 401)
    assert refused["account"] is None


async def test_record_of_one_account_by_key(merchant: Merchant, control: Control) -> None:
    for key in ("sk_test_one", "sk_test_two"):
        await paid(merchant(key).v1)
    everything = await control.get("record")
    one = await control.get("record", account="sk_test_one")
    assert (len(everything["charges"]), len(one["charges"])) == (2, 1)
    assert len(one["attempts"]) == 1
    by_id = await control.get("record", account=one["charges"][0]["account"])
    assert by_id["charges"] == one["charges"]


async def test_record_in_pages(api: Any, control: Control) -> None:
    for _ in range(5):
        await paid(api)
    seen: list[str] = []
    after = 0
    while page := (await control.get("record", lists="charges", after=after, limit=2))["charges"]:
        assert len(page) <= 2
        seen += [charge["id"] for charge in page]
        after = page[-1]["sequence"]
    whole = (await control.get("record", lists="charges,events"))["charges"]
    assert seen == [charge["id"] for charge in whole]


async def test_bad_questions(control: Control) -> None:
    for query in ("lists=chargs", "after=x", "limit=-1"):
        answer = await control.http.get(f"/_sandbox/record?{query}")
        assert answer.status_code == 400, query
