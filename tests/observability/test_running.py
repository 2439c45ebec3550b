"""`payment-cli up` as Prometheus meets it: what is counted is on the one page of its gateway."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.everything import call, up
from tests.observability.test_metrics import values

_PATIENCE_SECONDS: Final = 60
_COUNTED: Final = {
    'payments_total{status="captured"}': 1,
    'payments_total{status="refunded"}': 1,
    'payments_total{status="failed"}': 1,
    "payment_duration_seconds_count": 2,
    "refunds_total": 1,
    'webhooks_processed_total{event_type="payment_intent.succeeded"}': 1,
    'webhooks_processed_total{event_type="refund.created"}': 1,
    'validation_issues_total{rule="amount.written",severity="info"}': 1,
}
_SHOWN: Final = (
    'circuit_breaker_state{operation="authorize",processor="stripe"}',
    "messaging_outbox_lag_rows",
    'messaging_dlq_depth{consumer="webhooks.events"}',
    "payments_in_doubt_age_seconds",
)


def test_a_payment_a_refund_a_decline_and_a_webhook_are_on_the_page_of_a_running_system(
    short_tmp_path: Path,
) -> None:
    with up(short_tmp_path / "home") as running:
        run = running.run
        paid = call(run, "/api/v1/payments", {"amount": "$12.50", "method": "pm_card_visa"})
        call(run, f"/api/v1/payments/{paid['id']}/refund", {})
        declined = {"amount": 310, "payment_method": "pm_card_chargeDeclined", "method": "card"}
        with pytest.raises(urllib.error.HTTPError, match="402"):
            call(run, "/api/v1/payments", declined)
        _wait_until_counted(run)
        said = running.said
    lines = [line for line in said.splitlines() if line.startswith("{")]
    events = {json.loads(line)["event"] for line in lines}
    assert events >= {"attempt executed", "refund paid", "payment failed"}
    for secret in (run["merchant"]["api_key"], run["grpc_token"], run["stripe_webhook_secret"]):
        assert not [line for line in lines if secret in line]


def _wait_until_counted(run: dict[str, Any]) -> None:
    """Webhooks come by themselves, and how much waits is looked at every five seconds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with urllib.request.urlopen(f"{run['http_url']}/metrics", timeout=30) as page:  # noqa: S310
            found = values(page.read().decode())
        counted = {name: found.get(name) for name in _COUNTED}
        if counted == _COUNTED and all(name in found for name in _SHOWN):
            return
        assert time.monotonic() < deadline, (counted, [n for n in _SHOWN if n not in found])
        time.sleep(0.5)
