"""Metrics: each system counts for itself, and is read over HTTP."""

import urllib.request

import pytest

from services.runtime.telemetry import MetricsEndpoint, Telemetry


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
