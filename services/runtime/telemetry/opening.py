"""The telemetry that the settings ask for: OpenTelemetry's own variables, read as it means them.

Nothing is recorded until somebody is named who takes it: a collector, or the console.
"""

from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from services.runtime.settings import Settings
from services.runtime.telemetry import Telemetry

_FOLLOWING: Final = "parentbased_"
_TRACES_PATH: Final = "/v1/traces"


def open_telemetry(service: str, settings: Settings) -> Telemetry:
    """Telemetry of a process that is called so, unless the settings name it otherwise."""
    sampler = settings.otel_traces_sampler.removeprefix(_FOLLOWING)
    ratios = {"always_on": 1.0, "always_off": 0.0}
    return Telemetry.create(
        settings.otel_service_name or service,
        sample_ratio=ratios.get(sampler, settings.otel_traces_sampler_arg),
        follows_parent=settings.otel_traces_sampler.startswith(_FOLLOWING),
        exporters=_exporters(settings),
    )


def _exporters(settings: Settings) -> Sequence[SpanExporter]:
    endpoint = settings.otel_exporter_otlp_traces_endpoint
    if endpoint is None and settings.otel_exporter_otlp_endpoint is not None:
        base = str(settings.otel_exporter_otlp_endpoint).rstrip("/")
        address: str | None = base + _TRACES_PATH
    else:
        address = None if endpoint is None else str(endpoint)
    wanted = settings.otel_traces_exporter or ("none" if address is None else "otlp")
    if settings.otel_sdk_disabled or wanted == "none":
        return ()
    if wanted == "console":
        return (ConsoleSpanExporter(),)
    return (_otlp(address),)


def _otlp(address: str | None) -> SpanExporter:
    # A tenth of a second to import, which only those pay who export.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(endpoint=address)
