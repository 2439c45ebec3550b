"""Spans: of one trace with what began them, sampled as asked, without a card number."""

from contextvars import Context
from typing import NoReturn

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime.telemetry import Tracing, bind_context, current_traceparent

CARD = "4242 4242 4242 4242"


def test_sample_ratio_must_be_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Tracing("payments", sample_ratio=1.5)


def test_work_goes_on_in_the_trace_that_began_it_and_points_at_what_brought_it_about() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("payments", sample_ratio=1.0, exporters=[exporter])
    with tracing.span("request") as request:
        header = current_traceparent()

    def refund() -> None:
        with tracing.span("refund"), tracing.continued("drive", header, {"payment_id": "pay_1"}):
            pass

    Context().run(refund)
    _, driven, refunded = exporter.get_finished_spans()
    began, brought = request.get_span_context(), refunded.context
    assert (driven.name, driven.attributes) == ("drive", {"payment_id": "pay_1"})
    assert driven.parent is not None
    assert brought is not None
    assert (driven.parent.trace_id, driven.parent.span_id) == (began.trace_id, began.span_id)
    assert [link.context.span_id for link in driven.links] == [brought.span_id]
    assert driven.context is not None
    assert [link.context.span_id for link in refunded.links] == [driven.context.span_id]
    assert driven.resource.attributes["service.name"] == "payments"


def test_work_whose_beginning_was_not_recorded_is_a_child_of_what_brought_it_about() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("payments", sample_ratio=1.0, exporters=[exporter])
    unsampled = f"00-{'a' * 32}-{'b' * 16}-00"
    with tracing.span("refund"), tracing.continued("drive", unsampled):
        pass
    driven, refunded = exporter.get_finished_spans()
    assert driven.parent is not None
    assert refunded.context is not None
    assert driven.parent.span_id == refunded.context.span_id


def test_span_holds_no_card_number_whatever_fails_under_it() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("payments", sample_ratio=1.0, exporters=[exporter])

    def fail() -> NoReturn:
        bind_context(merchant_id=CARD)
        raise ValueError(f"bad card {CARD}")

    def work() -> None:
        with tracing.span("request", {"request_id": CARD, "cvc": "123"}):
            fail()

    with pytest.raises(ValueError, match="bad card"):
        Context().run(work)
    (span,) = exporter.get_finished_spans()
    assert "42424242" not in span.to_json().replace(" ", "")
    assert '"123"' not in span.to_json()
    assert span.status.description == "ValueError"
    assert span.attributes is not None
    assert span.attributes["merchant_id"] == "[card number]"


def test_nothing_is_recorded_for_nobody() -> None:
    tracing = Tracing("payments", sample_ratio=1.0)
    sampled = f"00-{'a' * 32}-{'b' * 16}-01"

    def work() -> str | None:
        assert not tracing.enter_call("request", sampled, {}).is_recording()
        return current_traceparent()

    assert Context().run(work) == sampled, "the next process may record it"


@pytest.mark.parametrize(("follows_parent", "recorded"), [(True, 1), (False, 2)])
def test_caller_decides_for_its_own_trace_only_where_it_is_followed(
    follows_parent: bool, recorded: int
) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(
        "payments", sample_ratio=1.0, follows_parent=follows_parent, exporters=[exporter]
    )
    for flags in ("00", "01"):
        header = f"00-{'a' * 32}-{'b' * 16}-{flags}"
        Context().run(tracing.enter_call, "request", header, {}).end()
    assert len(exporter.get_finished_spans()) == recorded


def test_half_of_the_traces_are_sampled_when_half_is_asked_for() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("payments", sample_ratio=0.5, exporters=[exporter])
    for _ in range(1000):
        with tracing.span("request"), tracing.span("child"):
            pass
    spans = exporter.get_finished_spans()
    by_name = [sum(span.name == name for span in spans) for name in ("request", "child")]
    assert by_name[0] == by_name[1], "a trace is sampled whole or not at all"
    assert 300 < by_name[0] < 700
