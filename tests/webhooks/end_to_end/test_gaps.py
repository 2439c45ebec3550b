"""What the sandbox never sent: named and fetched by command, or found and fetched by itself."""

import json
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.conftest import DatabaseUrls, short_folder
from tests.gateway.http.stage import Shop
from tests.webhooks.command_line import Run, command_line
from tests.webhooks.conftest import eventually
from tests.webhooks.end_to_end.platform import CAPTURE, Booking, Platform, open_platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DISPUTED: list[Booking] = [
    CAPTURE,
    ("dispute_fee", {"clearing": 1_500, "payable": -1_500}),
    ("dispute_opened", {"clearing": 10_000, "disputed": -10_000}),
]


@pytest.fixture
def quiet() -> Iterator[None]:
    # The system's log lines would mix with what the command prints in the same process.
    with capture_logs():
        yield


async def _missing(run: Run) -> set[str]:
    """What the command names, which is all that it exits with 3 for."""
    listed = await run("webhook-gaps", "--processor", "stripe", "--output", "json")
    named = {each["processor_event_id"] for each in json.loads(listed.output)}
    assert listed.exit_code == (3 if named else 0), listed.output
    return named


@pytest.mark.usefixtures("quiet")
async def test_what_was_dropped_is_named_and_fetched_by_command_and_booked(
    platform: Platform, shop: Shop
) -> None:
    system = platform.stage.system
    before = await platform.outside.event_ids()
    await platform.outside.mischief(drop=1)
    payment = await shop.pay(10_000, payment_method="pm_card_createDispute")
    lost = await platform.outside.event_ids() - before
    await platform.outside.mischief()
    assert (await shop.get(f"/payments/{payment['id']}")).body["status"] == "captured"
    async with command_line(system.registry, system.token, platform.folder) as run:
        assert await _missing(run) == lost
        filled = await run("webhook-gaps", "--backfill")
        assert filled.output == f"{len(lost)} events were fetched\n"
        assert await _missing(run) == set()
        await platform.until(shop, payment, status="disputed", amount_disputed=10_000)
        await platform.settled()
        assert await platform.booked(shop, payment) == _DISPUTED
        again = await run("webhook-replay", "--from", "2020-01-01")
        assert again.exit_code == 0, again.output
        await platform.settled()
        status = json.loads((await run("webhook-status", "--output", "json")).output)
        assert {each["state"].rpartition("_")[2] for each in status["counts"] if each["count"]} == {
            "PROCESSED",
            "IGNORED",
        }
    assert await platform.booked(shop, payment) == _DISPUTED, "a replay tells nothing new"
    unsigned = await platform.rows(
        "select stripe_event_id from webhooks.webhook_events where not signature_verified"
    )
    assert {row["stripe_event_id"] for row in unsigned} == lost


async def test_what_the_network_drops_is_found_by_itself_and_booked(
    database_urls: DatabaseUrls,
) -> None:
    manner = {"webhook_comparison_seconds": 0.5, "webhook_grace_seconds": 1}
    with short_folder() as folder:
        async with open_platform(database_urls, folder, **manner) as platform:
            shop = await platform.stage.merchant("stripe")
            await platform.outside.mischief(drop=0.5, duplicate=0.3, shuffle=8)
            payments = [
                await shop.pay(10_000, payment_method="pm_card_createDispute") for _ in range(6)
            ]
            await platform.settled()
            for payment in payments:
                await platform.until(shop, payment, status="disputed")
                assert await platform.booked(shop, payment) == _DISPUTED
            (row,) = await platform.rows(
                "select count(*) as n from webhooks.webhook_events where not signature_verified"
            )
            assert row["n"] > 0, "something was dropped"

            async def is_whole() -> bool:
                shown = (await platform.stage.http.get("/metrics")).text
                return "webhooks_oldest_missing_age_seconds 0.0" in shown

            await eventually(is_whole)
            report = await platform.report()
            assert report.is_clean, str(report)
