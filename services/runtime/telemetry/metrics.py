"""What is counted and timed, and the small HTTP door where Prometheus reads it.

A registry is an object of its own, never the library's global one, so that several systems live in
one process without counting into one another. Labels come from closed sets only: services, methods
and codes that the contracts name; never an id.
"""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

_CALL_SECONDS_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class CallMetrics:
    """How many calls each method answered with which code, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "rpc_calls",
            "Calls answered, by service, method and gRPC status code.",
            ("service", "method", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "rpc_duration_seconds",
            "Time from a call's arrival to its status, by service and method.",
            ("service", "method"),
            buckets=_CALL_SECONDS_BUCKETS,
            registry=registry,
        )
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def observe(self, service: str, method: str, code: str, duration_seconds: float) -> None:
        """Count one answered call; the children are kept, since `labels` costs more than `inc`."""
        counter = self._counters.get((service, method, code))
        if counter is None:
            counter = self._counters[service, method, code] = self._calls.labels(
                service, method, code
            )
        timer = self._timers.get((service, method))
        if timer is None:
            timer = self._timers[service, method] = self._seconds.labels(service, method)
        counter.inc()
        timer.observe(duration_seconds)


class MetricsEndpoint:
    """The /metrics page over HTTP, served from a thread of its own."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread

    @classmethod
    def start(
        cls, registry: CollectorRegistry, port: int, host: str = "127.0.0.1"
    ) -> "MetricsEndpoint":
        """Listen; port 0 takes any free one, a busy one raises OSError."""
        server, thread = start_http_server(port, addr=host, registry=registry)
        return cls(server, thread)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._server.server_port

    def stop(self) -> None:
        """Close the door and wait until the thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
