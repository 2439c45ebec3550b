"""What the platform counts and shows: by the names that dashboards and alerts rely on."""

import re
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.http.stage import order
from tests.observability.conftest import Observed, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PAGE: Final = Path(__file__).parents[2] / "docs" / "observability.md"
_ROW: Final = re.compile(
    r"^\| `(\w+)(?:\{([\w, ]+)\})?` \| (?:counter|gauge|histogram) \|", re.MULTILINE
)
# How the library names the kinds; what counts is read with this at the end of its name.
_ENDINGS: Final = {"counter": "_total"}
_LABELS: Final = {
    "code", "consumer", "currency", "event_type", "le", "method", "operation", "outcome",
    "processor", "route", "rule", "service", "severity", "state", "status", "trouble", "work",
}  # fmt: skip


def values(page: str) -> dict[str, float]:
    """Each sample by its name and labels, as they stand on the page."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def described() -> list[tuple[str, set[str]]]:
    """The metrics of the page with their labels, in its order."""
    return [
        (name, set(filter(None, labels.split(", "))))
        for name, labels in _ROW.findall(_PAGE.read_text())
    ]


async def test_a_payment_a_refund_a_decline_and_a_webhook_are_all_on_the_page(
    observed: Observed,
) -> None:
    shop = await observed.stage.merchant("stripe")
    before = values(await observed.metrics())
    payment = await shop.pay(1250)
    declined = await shop.post("/payments", order("$3.10", payment_method="pm_card_chargeDeclined"))
    assert declined.status == 402
    refund = await shop.post(f"/payments/{payment['id']}/refund", {})
    assert refund.body["status"] == "succeeded"
    await observed.webhooks_of(payment["id"], {"payment_intent.succeeded", "refund.created"})
    after = values(await observed.metrics())

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    for status in ("created", "confirming"):
        assert grown(f'payments_total{{status="{status}"}}') == 2
    for status in ("authorized", "captured", "refunded", "failed"):
        assert grown(f'payments_total{{status="{status}"}}') == 1
    assert grown("payment_duration_seconds_count") == 2
    assert 0 < grown("payment_duration_seconds_sum") < 120
    assert grown("refunds_total") == 1
    assert grown("refunds_failed_total") == 0
    assert grown('webhooks_processed_total{event_type="payment_intent.succeeded"}') == 1
    assert grown('webhooks_processed_total{event_type="refund.created"}') == 1
    assert grown("webhook_latency_seconds_count") >= 2
    assert grown('validation_issues_total{rule="amount.written",severity="info"}') == 1
    assert after['circuit_breaker_state{operation="authorize",processor="stripe"}'] == 0
    assert after["payments_in_doubt_age_seconds"] == 0


async def test_how_much_waits_is_on_the_page(observed: Observed) -> None:
    async def is_shown() -> bool:
        return 'messaging_dlq_depth{consumer="webhooks.events"}' in values(await observed.metrics())

    await until(is_shown)
    page = values(await observed.metrics())
    assert page['messaging_dlq_depth{consumer="webhooks.events"}'] == 0
    assert page["messaging_outbox_lag_rows"] >= 0
    assert page["messaging_outbox_lag_age_seconds"] >= 0


async def test_labels_are_bounded_whatever_is_sent(observed: Observed) -> None:
    http = observed.stage.http
    for method in ("4242424242424242", "BREW", "PROPFIND"):
        assert (await http.request(method, "/api/v1/payments")).status_code == 405
    for path in ("/api/v1/payments/4242424242424242", "/4242424242424242"):
        assert (await http.get(path)).status_code in (401, 404)
    page = await observed.metrics()
    assert "42424242" not in page.replace(" ", "")
    assert 'method="OTHER",route="unmatched",status="405"' in page
    assert "BREW" not in page
    assert {
        name
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        for name in sample.labels
    } <= _LABELS


async def test_the_page_of_the_docs_and_the_registry_name_the_same_metrics(
    observed: Observed,
) -> None:
    there = {
        family.name + _ENDINGS.get(family.type, "")
        for family in observed.stage.system.telemetry.registry.collect()
    }
    assert sorted(name for name, _ in described()) == sorted(there)


async def test_the_page_of_the_docs_names_the_labels_that_there_are(observed: Observed) -> None:
    told = dict(described())
    for family in observed.stage.system.telemetry.registry.collect():
        for sample in family.samples:
            labels = set(sample.labels) - {"le"}
            assert labels == told[family.name + _ENDINGS.get(family.type, "")], sample.name
