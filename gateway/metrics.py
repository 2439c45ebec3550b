"""What the gateway counts: answers by route and status, and the leniencies that were needed.

Routes are named by their templates and rules are a closed set, so that no caller can make labels.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.kernel.context import ValidationIssue

_SECONDS_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


class GatewayMetrics:
    """Counters and timers of HTTP; children are kept, since finding one costs most."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "http_requests",
            "HTTP requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from a request's arrival to its answer, by method and route.",
            ("method", "route"),
            buckets=_SECONDS_BUCKETS,
            registry=registry,
        )
        self._issues = Counter(
            "validation_issues",
            "Leniencies and refusals while requests were read, by rule.",
            ("rule", "severity"),
            registry=registry,
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def answered(self, method: str, route: str, status: int, duration_seconds: float) -> None:
        counter = self._counters.get((method, route, status))
        if counter is None:
            counter = self._counters[method, route, status] = self._answers.labels(
                method, route, str(status)
            )
        timer = self._timers.get((method, route))
        if timer is None:
            timer = self._timers[method, route] = self._seconds.labels(method, route)
        counter.inc()
        timer.observe(duration_seconds)

    def noticed(self, issues: Iterable[ValidationIssue]) -> None:
        for issue in issues:
            self._issues.labels(issue.rule, issue.severity.value).inc()
