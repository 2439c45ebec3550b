"""What messaging counts, and the gauges for how much waits."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class MessagingMetrics:
    """Counters and gauges of one process; labels are consumers, kinds of work and of trouble."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._relayed = Counter(
            "messaging_relayed", "Messages the bus has taken from the outbox.", registry=registry
        )
        self._bus_troubles = Counter(
            "messaging_bus_troubles",
            "Times the bus could not be used, by kind of trouble.",
            ("trouble",),
            registry=registry,
        )
        self._refused = Counter(
            "messaging_refused",
            "Messages the bus would not take as they are, such as too large ones.",
            registry=registry,
        )
        self._handled = Counter(
            "messaging_handled",
            "Messages handled, their effect committed.",
            ("consumer",),
            registry=registry,
        )
        self._retries = Counter(
            "messaging_retries",
            "Attempts that failed and will be made again.",
            ("consumer",),
            registry=registry,
        )
        self._dead_letters = Counter(
            "messaging_dead_letters", "Messages given up on.", ("consumer",), registry=registry
        )
        self._lane_failures = Counter(
            "messaging_lane_failures",
            "Times a relay, intake or worker had to start over.",
            ("work",),
            registry=registry,
        )
        self.outbox_rows = Gauge(
            "messaging_outbox_lag_rows", "Messages waiting in the outbox.", registry=registry
        )
        self.outbox_age = Gauge(
            "messaging_outbox_lag_age_seconds",
            "Age of the oldest message waiting in the outbox.",
            registry=registry,
        )
        self.outbox_parked = Gauge(
            "messaging_outbox_parked_rows",
            "Messages in the outbox that the bus has refused so far.",
            registry=registry,
        )
        self.inbox_depth = Gauge(
            "messaging_inbox_depth",
            "Messages waiting for a consumer.",
            ("consumer",),
            registry=registry,
        )
        self.inbox_age = Gauge(
            "messaging_inbox_age_seconds",
            "Age of the oldest message waiting for a consumer.",
            ("consumer",),
            registry=registry,
        )
        self.dlq_depth = Gauge(
            "messaging_dlq_depth",
            "Messages a consumer has given up on and nobody has replayed.",
            ("consumer",),
            registry=registry,
        )

    def relayed(self, messages: int) -> None:
        self._relayed.inc(messages)

    def bus_in_trouble(self, trouble: str) -> None:
        self._bus_troubles.labels(trouble).inc()

    def refused(self, messages: int) -> None:
        self._refused.inc(messages)

    def handled(self, consumer: str, messages: int) -> None:
        self._handled.labels(consumer).inc(messages)

    def retried(self, consumer: str, messages: int) -> None:
        self._retries.labels(consumer).inc(messages)

    def buried(self, consumer: str, messages: int) -> None:
        self._dead_letters.labels(consumer).inc(messages)

    def lane_failed(self, work: str) -> None:
        self._lane_failures.labels(work).inc()
