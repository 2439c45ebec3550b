"""payment-cli webhook-… against a system that serves, over its network door."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from payments.webhooks.v1.webhook_event_pb2 import WebhookEventState as State
from structlog.testing import capture_logs

from cli.main import main
from services.kernel.clock import SystemClock
from services.kernel.errors import Internal
from services.processor.service.processors import Processors
from tests.processor.conftest import opened
from tests.webhooks.command_line import command_line
from tests.webhooks.conftest import TOKEN, House, running_house
from tests.webhooks.door import running_outside
from tests.webhooks.letters import intent_event, letter
from tests.webhooks.stand_in_orchestrator import StandInOrchestrator


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    # The system's log lines would mix with what the command prints in the same process.
    with capture_logs():
        yield


async def test_what_failed_is_counted_listed_and_replayed(
    house: House, orchestrator: StandInOrchestrator, tmp_path: Path
) -> None:
    orchestrator.trouble = [Internal("broken")]
    failing = await house.receive(letter(intent_event(event_id="evt_failing")))
    await house.until(State.WEBHOOK_EVENT_STATE_FAILED, failing.webhook_event_id)
    orchestrator.trouble = []
    async with command_line(house.registry, TOKEN, tmp_path) as run:
        status = await run("webhook-status")
        assert status.exit_code == 0, status.output
        assert "failed     1" in status.output
        listed = await run("webhook-status", "--failed")
        assert "evt_failing" in listed.output
        assert failing.webhook_event_id in listed.output
        page = json.loads((await run("webhook-status", "--failed", "--output", "json")).output)
        assert page["events"][0]["attempt_count"] == 3
        assert "evt_failing" not in (await run("webhook-status", "--pending")).output
        replayed = await run("webhook-replay", "--failed")
        assert replayed.output == "1 webhook events are applied once more\n"
        await house.until(State.WEBHOOK_EVENT_STATE_PROCESSED, failing.webhook_event_id)
        answer = await run("webhook-status", "--output", "json")
        counts = {each["state"]: each["count"] for each in json.loads(answer.output)["counts"]}
        assert counts["WEBHOOK_EVENT_STATE_PROCESSED"] == 1


async def test_one_event_and_a_range_are_replayed(house: House, tmp_path: Path) -> None:
    answer = await house.receive(letter())
    await house.receive(letter())
    await house.until_settled(2)
    async with command_line(house.registry, TOKEN, tmp_path) as run:
        one = await run("webhook-replay", answer.webhook_event_id, "--output", "json")
        assert json.loads(one.output) == {"replayed_count": 1}
        hour = timedelta(hours=1)
        span = [f"{datetime.now(UTC) + side:%Y-%m-%dT%H:%M:%S}" for side in (-hour, hour)]
        both = await run("webhook-replay", "--from", span[0], "--before", span[1])
        assert both.output.startswith("2 ")
        none = await run("webhook-replay", "--before", span[0])
        assert none.output.startswith("0 ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("webhook-replay",),
        ("webhook-replay", "whe_1", "--from", "2026-01-01"),
        ("webhook-gaps", "--idempotency-key", "k"),
    ],
)
async def test_an_order_that_says_too_little_or_too_much_is_refused(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    command = [*arguments, "--home", str(tmp_path)]
    assert (await asyncio.to_thread(CliRunner().invoke, main, command)).exit_code == 2


async def test_gaps_are_reported_as_drift_and_filled(
    application_url: str, orchestrator: StandInOrchestrator, tmp_path: Path
) -> None:
    async with running_outside(tmp_path) as outside:
        account = Processors([opened("stripe", outside.url)], SystemClock())
        await outside.mischief(drop=1)
        await outside.pay()
        lost = await outside.event_ids()
        async with (
            running_house(application_url, orchestrator, account) as house,
            command_line(house.registry, TOKEN, tmp_path) as run,
        ):
            report = await run("webhook-gaps")
            assert report.exit_code == 3
            assert all(event_id in report.output for event_id in lost)
            listed = await run("webhook-gaps", "--output", "json")
            assert {each["processor_event_id"] for each in json.loads(listed.output)} == lost
            filled = await run("webhook-gaps", "--backfill")
            assert filled.output == f"{len(lost)} events were fetched\n"
            again = await run("webhook-gaps")
            assert (again.exit_code, again.output.splitlines()[-1]) == (0, "0 events are missing")
            unknown = await run("webhook-gaps", "--processor", "nobody")
            assert unknown.exit_code == 1
