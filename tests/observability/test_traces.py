"""One trace a payment: from the request that asks for it to the ledger and the processor's word."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from tests.gateway.http.stage import order
from tests.observability.conftest import Observed

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
_CALLER: Final = f"00-{_TRACE}-b7ad6b7169203331-01"
_CAPTURED: Final = {"payment_intent.succeeded"}
_REQUEST: Final = "POST /api/v1/payments"
_EXECUTE: Final = "payments.orchestrator.v1.OrchestratorService/ExecutePlan"
_ROUTER: Final = "payments.router.v1.RouterService/ExecuteAttempt"
_LEDGER: Final = "payments.ledger.v1.LedgerService/BatchPostTransactions"
_NORMALIZE: Final = "payments.processor.v1.ProcessorService/NormalizeEvent"
_APPLY: Final = "payments.orchestrator.v1.OrchestratorService/ApplyProcessorEvent"

# Each hop with the one above it, as a payment that is captured at once goes.
_HOPS: Final = (
    (_REQUEST, "payments.access.v1.AccessService/Authenticate"),
    (_REQUEST, "payments.plan.v1.PlanBuilderService/BuildPlan"),
    (_REQUEST, _EXECUTE),
    (_EXECUTE, "payment"),
    ("payment", "commit"),
    ("payment", "attempt authorize"),
    ("attempt authorize", _ROUTER),
    (_ROUTER, "payments.processor.v1.ProcessorService/Authorize"),
    (_EXECUTE, "posting"),
    ("posting", _LEDGER),
    (_EXECUTE, "webhooks.events WebhookEventReceived"),
    ("webhooks.events WebhookEventReceived", _APPLY),
    (
        "webhooks.events WebhookEventReceived",
        "payments.processor.v1.ProcessorService/NormalizeEvent",
    ),
)
_REFUND_HOPS: Final = (
    (_EXECUTE, "attempt refund"),
    ("attempt refund", _ROUTER),
    (_ROUTER, "payments.processor.v1.ProcessorService/Refund"),
)


def hops(spans: Sequence[ReadableSpan]) -> set[tuple[str, str]]:
    """Each span's name beneath that of the one above it."""
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    return {
        (names.get(span.parent.span_id, "outside"), span.name)
        for span in spans
        if span.parent is not None
    }


def said(spans: Sequence[ReadableSpan], name: str) -> Sequence[Mapping[str, Any]]:
    """What the spans of that name say."""
    return [dict(span.attributes or {}) for span in spans if span.name == name]


async def test_a_payment_is_one_trace_from_its_request_to_the_ledger_and_the_webhook(
    observed: Observed,
) -> None:
    shop = await observed.stage.merchant("stripe")
    answer = await shop.post("/payments", order(), headers={"traceparent": _CALLER})
    payment = answer.body
    await observed.webhooks_of(payment["id"], _CAPTURED)
    await observed.booked(shop, payment["id"], 1)
    spans = observed.spans(_TRACE)
    assert set(_HOPS) <= hops(spans)
    ids = {
        "payment_id": payment["id"],
        "merchant_id": shop.merchant_id,
        "request_id": answer.headers["request-id"],
    }
    for name in (_REQUEST, "payment", "commit"):
        (first, *_) = said(spans, name)
        assert ids.items() <= first.items(), name

    refund = await shop.post(f"/payments/{payment['id']}/refund", {})
    await observed.webhooks_of(payment["id"], {*_CAPTURED, "refund.created"})
    await observed.booked(shop, payment["id"], 2)
    spans = observed.spans(_TRACE)
    assert set(_HOPS + _REFUND_HOPS) <= hops(spans)
    states = [each["state"] for each in said(spans, "commit")]
    assert list(dict.fromkeys(states)) == ["confirming", "captured", "refunded"]
    assert len(said(spans, _LEDGER)) == 2
    await _assert_the_refund_s_own_request_is_linked(observed, refund.headers["request-id"])


async def _assert_the_refund_s_own_request_is_linked(observed: Observed, request_id: str) -> None:
    """It is a call of its own, with a trace of its own, and each of the two points at the other."""
    finished = observed.exporter.get_finished_spans()
    (request,) = (
        span
        for span in finished
        if span.name == "POST /api/v1/payments/{payment_id}/refund"
        and (span.attributes or {}).get("request_id") == request_id
    )
    assert request.context is not None
    own_spans = observed.spans(f"{request.context.trace_id:032x}")
    own = {each.context.span_id for each in own_spans if each.context is not None}
    (attempt,) = (each for each in observed.spans(_TRACE) if each.name == "attempt refund")
    assert {link.context.span_id for link in attempt.links} <= own
    assert attempt.links
    outward = {f"{link.context.trace_id:032x}" for each in own_spans for link in each.links}
    assert outward == {_TRACE}


async def test_what_a_webhook_brings_points_at_the_delivery_and_back(observed: Observed) -> None:
    deliveries = [
        span
        for span in observed.exporter.get_finished_spans()
        if span.name == "payments.webhooks.v1.WebhookService/ReceiveWebhook" and span.links
    ]
    assert deliveries
    assert {f"{link.context.trace_id:032x}" for each in deliveries for link in each.links} == {
        _TRACE
    }


async def test_a_payment_in_a_trace_that_is_not_recorded_makes_no_span_of_it(
    observed: Observed,
) -> None:
    tracing = observed.stage.system.telemetry.tracing
    shop = await observed.stage.merchant("stripe")
    tracing._follows_parent = True
    try:
        unsampled = f"00-{'c' * 32}-{'d' * 16}-00"
        answer = await shop.post("/payments", order(), headers={"traceparent": unsampled})
        await observed.webhooks_of(answer.body["id"], _CAPTURED)
    finally:
        tracing._follows_parent = False
    assert observed.spans("c" * 32) == []


async def test_no_span_holds_a_card_number_or_a_secret(observed: Observed) -> None:
    shop = await observed.stage.merchant("stripe")
    card = "4242 4242 4242 4242"
    for body in (
        order(card_number=card),
        order(metadata={"note": card, card: "x"}),
        order(user_id=card, cvc="987"),
        order(payment_method=card.replace(" ", "")),
    ):
        assert (await shop.post("/payments", body)).status == 400
    await shop.get("/payments/4242424242424242")
    await observed.stage.http.request("4242424242424242", "/api/v1/payments")
    told = "\n".join(span.to_json() for span in observed.exporter.get_finished_spans())
    # Four digits alone stand in many a moment.
    for secret in (
        "4242 4242",
        "42424242",
        '"987"',
        shop.api_key,
        "sk_test",
        "whsec",
        "grpc-token",
    ):
        assert secret not in told
