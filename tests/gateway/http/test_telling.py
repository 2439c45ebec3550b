"""What is told of a request inside: log lines, ids and traces that hold together."""

import io
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.gateway.http.stage import Stage, order

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TRACE = "0af7651916cd43dd8448eb211c80319c"


def lines_of(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_a_caller_s_trace_goes_on_through_every_service(stage: Stage) -> None:
    shop, spans = await stage.merchant(), InMemorySpanExporter()
    stage.system.telemetry.tracing.export_to(spans)
    traceparent = f"00-{_TRACE}-b7ad6b7169203331-01"
    await shop.post("/payments", order(), headers={"traceparent": traceparent})
    ours = {
        span.name: span
        for span in spans.get_finished_spans()
        if span.context is not None and f"{span.context.trace_id:032x}" == _TRACE
    }
    request = ours["POST /api/v1/payments"]
    for call in (
        "payments.plan.v1.PlanBuilderService/BuildPlan",
        "payments.orchestrator.v1.OrchestratorService/ExecutePlan",
    ):
        parent = ours[call].parent
        assert parent is not None
        assert request.context is not None
        assert parent.span_id == request.context.span_id


async def test_a_refusal_is_a_line_that_says_which_rules_refused_and_who_asked(
    stage: Stage, log: io.StringIO
) -> None:
    shop = await stage.merchant()
    answer = await shop.post("/payments", order("about ten"))
    about = [line for line in lines_of(log) if line.get("request_id") == answer.body["request_id"]]
    issues = next(line["issues"] for line in about if "issues" in line)
    assert {"rule": "amount.unreadable", "severity": "error", "field": "amount"} in issues
    (refused,) = (line for line in about if line["event"] == "request refused")
    assert (refused["status"], refused["code"], refused["merchant_id"]) == (
        400,
        "amount_invalid",
        shop.merchant_id,
    )
    assert refused["route"] == "/api/v1/payments"


async def test_leniencies_are_logged_with_the_request_and_its_merchant(
    stage: Stage, log: io.StringIO
) -> None:
    shop = await stage.merchant()
    await shop.post("/payments", order("$12.50"))
    (line,) = (each for each in lines_of(log) if each["event"] == "request read with issues")
    assert line["merchant_id"] == shop.merchant_id
    assert [issue["rule"] for issue in line["issues"]] == ["amount.written"]
