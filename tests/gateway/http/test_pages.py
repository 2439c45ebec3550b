"""The pages for people and for machines: health, metrics, the description of it all."""

import re

import jsonschema_rs
import pytest

from services.kernel.ids import RequestId
from tests.gateway.http.declared import DOCUMENT
from tests.gateway.http.stage import Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

_R44 = {
    "POST /api/v1/payments",
    "GET /api/v1/payments",
    "GET /api/v1/payments/{payment_id}",
    "GET /api/v1/payments/{payment_id}/explain",
    "POST /api/v1/payments/{payment_id}/capture",
    "POST /api/v1/payments/{payment_id}/void",
    "POST /api/v1/payments/{payment_id}/refund",
    "POST /api/v1/payment_intents",
    "POST /api/v1/payment_intents/{payment_id}/confirm",
    "POST /api/v1/refunds",
    "POST /api/v1/webhooks/stripe",
    "POST /api/v1/ledger/transactions",
    "GET /api/v1/ledger/transactions/{transaction_id}",
    "GET /api/v1/idempotency/{key}",
}


async def test_the_document_describes_every_address_of_the_api(stage: Stage) -> None:
    shown = (await stage.http.get("/openapi.json")).json()
    assert shown["openapi"].startswith("3.1")
    described = {
        f"{method.upper()} {path}" for path, methods in shown["paths"].items() for method in methods
    }
    assert described >= _R44
    assert shown["paths"] == DOCUMENT["paths"]
    for methods in shown["paths"].values():
        for operation in methods.values():
            assert {"500", "503"} <= operation["responses"].keys()


async def test_every_example_in_the_document_is_of_its_schema() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in content["schema"]:
                    assert jsonschema_rs.is_valid(content["schema"], content["schema"]["example"])
                    assert path


@pytest.mark.parametrize("path", ["/docs", "/docs/problems", "/docs/docs.js", "/docs/docs.css"])
async def test_no_page_takes_anything_from_elsewhere(stage: Stage, path: str) -> None:
    response = await stage.http.get(path)
    assert response.status_code == 200
    assert not re.search(r"https?://", response.text)
    if path.startswith("/docs") and "text/html" in response.headers["content-type"]:
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        for linked in re.findall(r'(?:src|href)="(/[^"#]*)"', response.text):
            assert (await stage.http.get(linked)).status_code == 200


async def test_a_problem_s_link_leads_to_its_line(stage: Stage) -> None:
    problem = (await stage.http.get("/api/v1/payments")).json()
    page, anchor = problem["type"].split("#")
    assert problem["doc_url"] == problem["type"]
    assert f'id="{anchor}"' in (await stage.http.get(page)).text


async def test_health_and_metrics_are_shown_without_a_key(stage: Stage) -> None:
    assert (await stage.http.get("/healthz")).json() == {"status": "ok"}
    assert (await stage.http.get("/readyz")).json() == {"status": "ok"}
    shop = await stage.merchant()
    await shop.post("/payments", order("$12.50"))
    metrics = (await stage.http.get("/metrics")).text
    assert 'http_requests_total{method="POST",route="/api/v1/payments",status="201"}' in metrics
    assert 'validation_issues_total{rule="amount.written",severity="info"}' in metrics


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/api/v1/payments", "/docs"])
async def test_every_answer_is_guarded_and_has_an_id(stage: Stage, path: str) -> None:
    headers = (await stage.http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert RequestId.parse(headers["request-id"])


async def test_a_request_goes_by_the_id_that_its_caller_gives_it(stage: Stage) -> None:
    shop, own = await stage.merchant(), RequestId.new()
    answer = await shop.post("/payments", order(), headers={"Request-Id": own})
    assert answer.headers["request-id"] == answer.body["request_id"] == own
    other = await shop.post("/payments", order(), headers={"Request-Id": "42"})
    assert other.headers["request-id"] == other.body["request_id"] != "42"
    (issue,) = other.body["validation_issues"]
    assert (issue["rule"], issue["coerced"]) == ("request_id.replaced", other.body["request_id"])
