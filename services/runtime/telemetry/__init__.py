"""Telemetry: what a running system tells of itself, in logs, traces and metrics.

One `Telemetry` a process, made by the composition root and handed to whoever records. Logging alone
is global, as it is in Python; `configure_logging` sets it up once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace.export import SpanExporter
from prometheus_client import CollectorRegistry

from services.runtime.telemetry.bound import begin_context, bind_context, bound, bound_context
from services.runtime.telemetry.logs import configure_logging
from services.runtime.telemetry.metrics import CallMetrics, MetricsEndpoint
from services.runtime.telemetry.tracing import (
    Tracing,
    current_traceparent,
    pointed_at,
    recorded_traceparent,
)

__all__ = [
    "CallMetrics",
    "MetricsEndpoint",
    "Telemetry",
    "Tracing",
    "begin_context",
    "bind_context",
    "bound",
    "bound_context",
    "configure_logging",
    "current_traceparent",
    "pointed_at",
    "recorded_traceparent",
]


@dataclass(frozen=True)
class Telemetry:
    """What a process records with: its tracing, its registry of metrics, and those of its calls."""

    tracing: Tracing
    registry: CollectorRegistry
    calls: CallMetrics

    @classmethod
    def create(
        cls,
        service: str,
        *,
        sample_ratio: float = 0.0,
        follows_parent: bool = True,
        exporters: Sequence[SpanExporter] = (),
    ) -> "Telemetry":
        """Telemetry that counts into a registry of its own and exports spans where it is told."""
        registry = CollectorRegistry()
        tracing = Tracing(
            service, sample_ratio=sample_ratio, follows_parent=follows_parent, exporters=exporters
        )
        return cls(tracing=tracing, registry=registry, calls=CallMetrics(registry))

    def close(self) -> None:
        """Flush what is buffered."""
        self.tracing.shutdown()
