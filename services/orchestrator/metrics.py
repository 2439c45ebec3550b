"""What is counted of payments and refunds, and shown of payments in doubt."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.orchestrator.domain.saving import Doubt
from services.orchestrator.domain.state import PaymentState

# Up to the hour that a customer has for an authentication.
_DURATION_BUCKETS: Final = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip


class PaymentMetrics:
    """Counters of one process: each commit is counted by the process that made it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        payments = Counter(
            "payments",
            "Payments that came into each state.",
            ("status",),
            registry=registry,
        )
        # All from the start, so that a rate is known of what has not happened yet.
        self._payments = {state: payments.labels(state.value) for state in PaymentState}
        self._duration = Histogram(
            "payment_duration_seconds",
            "Time from a payment's creation until it was captured, authorized where the merchant"
            " captures by hand, or failed.",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._refunds = Counter("refunds", "Refunds that were paid out.", registry=registry)
        self._failed_refunds = Counter(
            "refunds_failed", "Refunds, or parts of them, that failed.", registry=registry
        )

    def reached(self, state: PaymentState) -> None:
        self._payments[state].inc()

    def decided(self, duration: timedelta) -> None:
        self._duration.observe(max(duration.total_seconds(), 0.0))

    def refunded(self) -> None:
        self._refunds.inc()

    def refund_failed(self) -> None:
        self._failed_refunds.inc()


class DoubtMetrics:
    """What a processor did is not known; labels are currencies."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._payments = Gauge(
            "payments_in_doubt", "Payments of which a part is in doubt.", registry=registry
        )
        self._age_seconds = Gauge(
            "payments_in_doubt_age_seconds",
            "How long the oldest has been in doubt; zero when none is.",
            registry=registry,
        )
        self._amount = Gauge(
            "payments_in_doubt_amount_minor",
            "What is in doubt, in minor units.",
            ("currency",),
            registry=registry,
        )

    def show(self, doubts: Sequence[Doubt], now: datetime) -> None:
        """Show what is in doubt now, one sum for each currency."""
        self._payments.set(sum(each.payments for each in doubts))
        oldest = min((each.since for each in doubts), default=now)
        self._age_seconds.set(max((now - oldest).total_seconds(), 0.0))
        self._amount.clear()
        for each in doubts:
            self._amount.labels(each.amount.currency.code).set(each.amount.amount_minor)
