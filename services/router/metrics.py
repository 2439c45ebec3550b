"""What the router counts, and the states of its breakers as they are when they are read."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.kernel.outcome import Outcome
from services.router.domain.attempt import Operation
from services.router.domain.breaker import BreakerState, CircuitBreakers

_STATE_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class RouterMetrics:
    """Counters of one process; labels are operations, outcomes and rules."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tries = Counter(
            "router_tries",
            "Requests sent to processors, by operation and what became of them.",
            ("operation", "outcome"),
            registry=registry,
        )
        self._failovers = Counter(
            "router_failovers",
            "Attempts for which another processor was named, by the rule that did.",
            ("rule",),
            registry=registry,
        )

    def count_try(self, operation: Operation, outcome: Outcome) -> None:
        self._tries.labels(operation, outcome).inc()

    def count_failover(self, rule: str) -> None:
        self._failovers.labels(rule).inc()


class BreakerCollector(Collector):
    """The breakers' states; processors that do not exist have none."""

    def __init__(self, breakers: CircuitBreakers, registry: CollectorRegistry) -> None:
        self._breakers = breakers
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        labels = ("processor", "operation")
        states = GaugeMetricFamily(
            "circuit_breaker_state", "0 closed, 1 half open, 2 open.", labels=labels
        )
        openings = CounterMetricFamily(
            "circuit_breaker_openings", "How often it has opened.", labels=labels
        )
        for breaker in self._breakers.sorted():
            place = (breaker.processor_id, breaker.operation)
            states.add_metric(place, _STATE_VALUES[breaker.state])
            openings.add_metric(place, breaker.opening_count)
        yield states
        yield openings
