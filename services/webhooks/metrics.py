"""What is counted of webhooks, and how much of them waits."""

from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.webhooks.domain.event import OpenEvent, Standing, State

# Senders may make up types; a label may not take more values than these.
_KNOWN_TYPES: Final = frozenset(
    {
        "payment_intent.requires_action",
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.refund.updated",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)
_OTHER: Final = "other"
_BACKLOG: Final = (State.PENDING, State.UNMATCHED, State.FAILED)
_LATENCY_BUCKETS: Final = (
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
)  # fmt: skip


class WebhookMetrics:
    """Counters of one process, and gauges of what all processes have left to do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._received = Counter(
            "webhooks_received",
            "Deliveries by what was answered: stored, duplicate, refused or unreadable.",
            ("outcome",),
            registry=registry,
        )
        self._processed = Counter(
            "webhooks_processed",
            "Attempts to apply an event that came to something, by the event's type.",
            ("event_type",),
            registry=registry,
        )
        self._latency = Histogram(
            "webhook_latency_seconds",
            "Time from storing an event to the first attempt that came to something.",
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._backlog = Gauge(
            "webhooks_backlog", "Events that are not settled, by state.", ("state",),
            registry=registry,
        )  # fmt: skip
        self._pending_age = Gauge(
            "webhooks_oldest_pending_age_seconds",
            "Age of the oldest event that waits to be applied; 0 when none does.",
            registry=registry,
        )
        self._missing_age = Gauge(
            "webhooks_oldest_missing_age_seconds",
            "Age of the oldest event that a processor lists and that was never received; 0 when"
            " none is missing.",
            registry=registry,
        )
        self._compared_age = Gauge(
            "webhooks_compared_age_seconds",
            "Time since every processor's list was last compared to its end.",
            registry=registry,
        )

    def received(self, outcome: str) -> None:
        self._received.labels(outcome).inc()

    def settled(self, event: OpenEvent, latency_seconds: float) -> None:
        known = event.event_type in _KNOWN_TYPES
        self._processed.labels(event.event_type if known else _OTHER).inc()
        if event.attempts == 0:
            # What is looked at again, or replayed, says nothing of how fast webhooks are.
            self._latency.observe(latency_seconds)

    def stands(self, standing: Standing, now: datetime) -> None:
        """Show how much waits."""
        for state in _BACKLOG:
            self._backlog.labels(state.value).set(standing.counts.get(state, 0))
        age = standing.oldest_pending_age
        self._pending_age.set(0.0 if age is None else age.total_seconds())
        missing = standing.oldest_missing
        missing_since = now if missing is None else missing.occurred_at
        self._missing_age.set(max(0.0, (now - missing_since).total_seconds()))
        if standing.compared_through is not None:
            self._compared_age.set((now - standing.compared_through).total_seconds())
