"""Tracing as OpenTelemetry's own variables ask for it, up to a collector that hears of a span."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest.mock import patch

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime.settings import SettingsError, load_settings
from services.runtime.telemetry import Telemetry
from services.runtime.telemetry.opening import open_telemetry

_PARENT = f"00-{'a' * 31}1-{'b' * 16}-"


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    """A collector of traces, and what it was sent."""
    heard: list[tuple[str, ExportTraceServiceRequest]] = []

    class Hear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Hear)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def opened(**variables: str) -> Telemetry:
    others = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    with patch.dict(os.environ, {**others, **variables}, clear=True):
        return open_telemetry("switchyard", load_settings())


@pytest.mark.parametrize("by_traces_endpoint", [False, True])
def test_collector_that_is_named_is_sent_what_is_recorded(by_traces_endpoint: bool) -> None:
    with collector() as (url, heard):
        endpoint = (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/elsewhere"}
            if by_traces_endpoint
            else {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        )
        telemetry = opened(
            **endpoint, OTEL_TRACES_SAMPLER="always_on", OTEL_SERVICE_NAME="the shop"
        )
        with telemetry.tracing.span("capture", {"payment_id": "pay_1"}):
            pass
        telemetry.close()
    ((path, sent),) = heard
    assert path == ("/elsewhere" if by_traces_endpoint else "/v1/traces")
    (resource,) = sent.resource_spans
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert names["service.name"] == "the shop"
    assert [span.name for span in resource.scope_spans[0].spans] == ["capture"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true"},
    ],
    ids=["nothing", "no exporter", "disabled"],
)
def test_nothing_is_recorded_where_nobody_takes_it(variables: Mapping[str, str]) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if variables else {}
    telemetry = opened(**endpoint, **variables, OTEL_TRACES_SAMPLER="always_on")
    with telemetry.tracing.span("capture") as span:
        assert not span.is_recording()
    telemetry.close()


@pytest.mark.parametrize(
    ("sampler", "ratio", "of_root", "of_sampled", "of_unsampled"),
    [
        ("always_on", "0", True, True, True),
        ("always_off", "1", False, False, False),
        ("traceidratio", "1", True, True, True),
        ("traceidratio", "0", False, False, False),
        ("parentbased_always_on", "0", True, True, False),
        ("parentbased_always_off", "1", False, True, False),
        ("parentbased_traceidratio", "1", True, True, False),
        ("parentbased_traceidratio", "0", False, True, False),
    ],
)
def test_samplers_mean_what_they_mean_elsewhere(
    sampler: str, ratio: str, of_root: bool, of_sampled: bool, of_unsampled: bool
) -> None:
    telemetry = opened(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=ratio)
    telemetry.tracing.export_to(InMemorySpanExporter())

    def is_recorded(traceparent: str | None) -> bool:
        span = Context().run(telemetry.tracing.enter_call, "request", traceparent, {})
        return span.is_recording()

    seen = [is_recorded(each) for each in (None, f"{_PARENT}01", f"{_PARENT}00")]
    assert seen == [of_root, of_sampled, of_unsampled]
    telemetry.close()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
def test_what_is_not_spoken_is_refused_before_anything_starts(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        opened(**{variable: value})
