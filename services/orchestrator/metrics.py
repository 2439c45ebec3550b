"""What is exported of payments in doubt: how many, how much, and for how long."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from services.orchestrator.domain.saving import Doubt


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
