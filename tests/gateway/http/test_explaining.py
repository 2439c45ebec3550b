"""The whole story of a payment over HTTP: all that is on record of it, and as gRPC tells it."""

import asyncio

import pytest
from payments.orchestrator.v1.orchestrator_service_pb2 import ExplainPaymentRequest
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

from tests.gateway.http.stage import JsonObject, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

_BOOKED_WITHIN_SECONDS = 20.0


async def _story(stage: Stage) -> JsonObject:
    """That of a payment which one of two processors can take, once the ledger has followed."""
    shop = await stage.merchant("euro", "simulated")
    payment = await shop.pay("$12.50")
    async with asyncio.timeout(_BOOKED_WITHIN_SECONDS):
        while True:
            answer = await shop.get(f"/payments/{payment['id']}/explain")
            assert answer.status == 200, answer.text
            story: JsonObject = answer.body
            if story["payment"]["posting"] == "posted" and story["ledger_transactions"]:
                return story
            await asyncio.sleep(0.05)


async def test_a_payment_is_explained_from_the_raw_field_to_the_journal(stage: Stage) -> None:
    story = await _story(stage)
    read = {each["rule"]: (each["raw"], each["coerced"]) for each in story["context"]["issues"]}
    assert read["amount.written"] == ("$12.50", "1250")
    (step,) = story["plan"]["steps"]
    decisions = {
        each["processor_id"]: (each["verdict"], each["rule"]) for each in step["decisions"]
    }
    assert decisions == {
        "euro": ("rejected", "currency.unsupported"),
        "simulated": ("kept", "order"),
    }
    asked = [each["operation"] for attempt in story["attempts"] for each in attempt["tries"]]
    assert asked == ["authorize"]
    states = [each["to_state"] for each in story["transitions"]]
    assert states == ["created", "confirming", "authorized", "captured"]
    (transaction,) = story["ledger_transactions"]
    assert transaction["reference_id"] == story["payment"]["id"]
    assert sum(entry["amount"]["amount"] for entry in transaction["entries"]) == 0


async def test_http_tells_the_story_that_grpc_tells(stage: Stage) -> None:
    story = await _story(stage)
    request = ExplainPaymentRequest(payment_id=story["payment"]["id"])
    orchestrator = OrchestratorServiceStub(stage.system.channel)
    over_grpc = (await orchestrator.ExplainPayment(request)).story.timeline
    told = [(each["source"], each["message"]) for each in story["timeline"]]
    assert told == [(each.source, each.message) for each in over_grpc]
    assert {"gateway", "plan", "processor", "orchestrator", "ledger"} <= {each[0] for each in told}
