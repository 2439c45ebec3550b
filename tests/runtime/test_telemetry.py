"""Telemetry: lines that people and machines can read, that never break what they tell of."""

import asyncio
import io
import logging
import urllib.request
from collections.abc import Iterator
from contextvars import Context
from typing import Any, NoReturn

import orjson
import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime.telemetry import (
    MetricsEndpoint,
    Telemetry,
    Tracing,
    bind_context,
    bound,
    bound_context,
    configure_logging,
    current_traceparent,
)

CARD = "4242 4242 4242 4242"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("payments", level="info", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def in_fresh_context(work: Any) -> None:
    Context().run(work)


def test_line_says_when_how_grave_what_and_where(stream: io.StringIO) -> None:
    structlog.get_logger().warning("breaker opened", processor="stripe", failures=5)
    (line,) = lines_of(stream)
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "breaker opened",
        "service": "payments",
        "processor": "stripe",
        "failures": 5,
    }


def test_line_carries_the_ids_bound_to_the_work(stream: io.StringIO) -> None:
    def work() -> None:
        bind_context(request_id="req_1", merchant_id="mer_1")
        bind_context(payment_id="pay_1", merchant_id=None)
        structlog.get_logger().info("captured")

    in_fresh_context(work)
    structlog.get_logger().info("elsewhere")
    here, elsewhere = lines_of(stream)
    ids = ("request_id", "merchant_id", "payment_id")
    assert [here.get(name) for name in ids] == ["req_1", "mer_1", "pay_1"]
    assert not set(ids) & elsewhere.keys()


def test_words_bound_for_a_block_end_with_it() -> None:
    def work() -> None:
        bind_context(request_id="req_1")
        with bound_context(payment_id="pay_1"):
            assert dict(bound()) == {"request_id": "req_1", "payment_id": "pay_1"}
        assert dict(bound()) == {"request_id": "req_1"}

    in_fresh_context(work)


async def test_task_started_by_the_work_keeps_its_words() -> None:
    async def child() -> str:
        bind_context(payment_id="pay_child")
        return bound()["request_id"]

    bind_context(request_id="req_1")
    assert await asyncio.create_task(child()) == "req_1"
    assert "payment_id" not in bound()


def test_line_within_a_span_names_its_trace(stream: io.StringIO) -> None:
    with Tracing("payments", sample_ratio=0.0).span("capture"):
        header = current_traceparent()
        structlog.get_logger().info("captured")
    (line,) = lines_of(stream)
    assert header == f"00-{line['trace_id']}-{line['span_id']}-00"


def test_level_below_the_setting_is_not_written(stream: io.StringIO) -> None:
    structlog.get_logger().debug("detail")
    logging.getLogger("library").debug("detail")
    assert stream.getvalue() == ""


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of debug, info, warning, error"):
        configure_logging("payments", level="loud")


def test_line_of_a_library_comes_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("asyncpg").error("lost %s", "connection")
    (line,) = lines_of(stream)
    assert (line["event"], line["level"]) == ("lost connection", "error")
    assert (line["logger"], line["service"]) == ("asyncpg", "payments")


def test_library_line_with_wrong_arguments_is_written_all_the_same(stream: io.StringIO) -> None:
    # pytest's own handler, beside ours, would raise.
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if type(h).__module__.startswith("services.")]
    logging.getLogger("library").error("lost %d", "connection")
    assert lines_of(stream)[0]["event"] == "lost %d"


@pytest.mark.parametrize(
    "words",
    [
        {"note": f"paid with {CARD}"},
        {"request": {"card": {"number": "4242424242424242", "cvc": "123"}}},
        {"lines": [f"a {CARD}", {"b": CARD}]},
        {"error": ValueError(f"bad card {CARD}")},
        {"cvc": "123"},
    ],
    ids=["text", "nested", "list", "object", "code"],
)
def test_card_data_is_masked_wherever_it_stands(
    stream: io.StringIO, words: dict[str, object]
) -> None:
    structlog.get_logger().error("refused", **words)
    written = stream.getvalue()
    assert "4242" not in written
    assert '"123"' not in written
    assert "[" in written


def test_card_number_in_an_event_or_traceback_is_masked(stream: io.StringIO) -> None:
    def fail() -> NoReturn:
        raise ValueError(f"bad card {CARD}")

    log = structlog.get_logger()
    try:
        fail()
    except ValueError:
        log.exception(f"refused {CARD}")
        logging.getLogger("library").exception("refused %s", CARD)
    ours, theirs = lines_of(stream)
    for line in (ours, theirs):
        assert "Traceback" in line["exception"]
        assert "[card number]" in line["exception"]
        assert line["event"] == "refused [card number]"
    assert "4242" not in stream.getvalue()


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def test_value_that_cannot_be_rendered_loses_its_line_and_nothing_else(stream: io.StringIO) -> None:
    structlog.get_logger().info("captured", what=Unspeakable())
    (line,) = lines_of(stream)
    assert line["event"] == "log line could not be rendered"
    assert line["level"] == "error"


def test_values_of_any_type_are_rendered(stream: io.StringIO) -> None:
    structlog.get_logger().info("odd", number={1: 2}, kind=Tracing, raw=b"\xff")
    structlog.get_logger().info("huge", huge=2**80)
    line, huge = lines_of(stream)
    assert line["number"] == {"1": 2}
    assert "Tracing" in line["kind"]
    assert (huge["event"], huge["huge"]) == ("huge", str(2**80))


def test_stream_that_is_gone_loses_the_line_and_raises_nothing() -> None:
    closed = io.StringIO()
    configure_logging("payments", stream=closed)
    try:
        log = structlog.get_logger()
        log.info("before")
        closed.close()
        log.info("captured")
        logging.getLogger("library").warning("still here")
    finally:
        logging.getLogger().handlers.clear()
        structlog.reset_defaults()


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

    in_fresh_context(refund)
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
        in_fresh_context(work)
    (span,) = exporter.get_finished_spans()
    assert "4242" not in span.to_json()
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


def test_two_systems_in_one_process_count_apart() -> None:
    first, second = Telemetry.create("first"), Telemetry.create("second")
    first.calls.observe("ledger", "Get", "OK", 0.01)
    labels = {"service": "ledger", "method": "Get", "code": "OK"}
    assert first.registry.get_sample_value("rpc_calls_total", labels) == 1
    assert second.registry.get_sample_value("rpc_calls_total", labels) is None


def test_metrics_are_read_over_http_until_the_endpoint_is_stopped() -> None:
    telemetry = Telemetry.create("first")
    telemetry.calls.observe("ledger", "Get", "OK", 0.01)
    endpoint = MetricsEndpoint.start(telemetry.registry, port=0)
    url = f"http://127.0.0.1:{endpoint.port}/metrics"
    with urllib.request.urlopen(url, timeout=20) as page:
        text = page.read().decode()
    assert 'rpc_calls_total{code="OK",method="Get",service="ledger"} 1.0' in text
    with pytest.raises(OSError, match="in use"):
        MetricsEndpoint.start(telemetry.registry, port=endpoint.port)
    endpoint.stop()
    again = MetricsEndpoint.start(telemetry.registry, port=endpoint.port)
    again.stop()
