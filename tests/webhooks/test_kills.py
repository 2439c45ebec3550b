"""Processes killed between storing, answering, applying and acknowledging lose and repeat nothing.

The payments are real ones at the sandbox, each disputed by its customer at once. The disputes are
told by webhooks alone, to one process after another, each of which is killed at some point.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
from grpc.aio import Channel
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_service_pb2_grpc import WebhookServiceStub

from oracle import Bounds, consult, read_sandbox
from services.runtime.database import Connection
from services.runtime.rpc import connect
from tests.cli.everything import clean_environment
from tests.conftest import DatabaseUrls
from tests.orchestrator.orders import execution
from tests.webhooks.conftest import PATIENCE_SECONDS, TOKEN, eventually
from tests.webhooks.door import Outside, running_outside
from tests.webhooks.letters import SECRET, Letter

_KEY = "sk_test_merchant"
_PAYMENTS = 12
# Stored and not answered; applied, which saves what came of it, and not settled; settled and not
# acknowledged.
_POINTS = ("webhook_stored", "result_saved", "consumed_not_acknowledged")
_ROUNDS = 10 if os.environ.get("SWITCHYARD_TEST_LONG") else 1


@dataclass
class Fleet:
    """One process at a time, and how often each point has killed one."""

    settings: dict[str, str]
    channel: Channel | None = None
    killed: Counter[str] = field(default_factory=Counter)
    _at_work: int = 0

    async def receive(self, letter: Letter) -> None:
        if self.channel is None:
            raise ConnectionError("nobody is there")
        request = pb.ReceiveWebhookRequest(
            adapter="stripe", body=letter.body, signature_header=letter.header
        )
        self._at_work += 1
        try:
            await WebhookServiceStub(self.channel).ReceiveWebhook(request, timeout=5)
        finally:
            self._at_work -= 1

    @asynccontextmanager
    async def life(self, crash_at: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
        """A process that is up, or has died by itself already; it is killed in the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.webhooks.killed_process",
            env=clean_environment(**self.settings, SWITCHYARD_CRASH_AT=crash_at),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        async with connect(f"127.0.0.1:{int(line or 9)}", token=TOKEN) as channel:
            self.channel = channel
            yield process
            self.channel = None
            if process.returncode is None:
                process.kill()
            await process.communicate()
            await eventually(self._is_at_rest)
        assert process.returncode == -signal.SIGKILL

    async def _is_at_rest(self) -> bool:
        return self._at_work == 0


async def _disputed_payments(fleet: Fleet) -> None:
    async with fleet.life():
        assert fleet.channel is not None
        stub = OrchestratorServiceStub(fleet.channel)
        for number in range(_PAYMENTS):
            request = execution(
                f"order-{number}", card="pm_card_createDispute", processors=("stripe",)
            )
            await stub.ExecutePlan(request, timeout=PATIENCE_SECONDS)


async def _die_of(fleet: Fleet, point: str) -> None:
    async with fleet.life(f"{point}:0.25") as process:
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            return
        fleet.killed[point] += 1


async def _settled(owner: Connection, expected: int) -> bool:
    rows = await owner.fetch("select processed from webhooks.webhook_events")
    return len(rows) == expected and all(row["processed"] for row in rows)


async def test_kills_at_every_point_lose_nothing_and_repeat_nothing(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    async with running_outside(tmp_path) as outside:
        fleet = Fleet(_settings(database_urls, outside))
        outside.door.take = fleet.receive
        await outside.mischief(paused=True, retry_base_ms=50)
        await _disputed_payments(fleet)
        await outside.mischief(duplicate=0.3, shuffle=7, retry_base_ms=50, delay_max_ms=2_000)
        for _ in range(_ROUNDS):
            for point in _POINTS:
                await _die_of(fleet, point)
                # Whatever has come by now comes once more.
                await outside.resend(4)
        events = await outside.event_ids()
        owner = await asyncpg.connect(database_urls.owner)
        async with fleet.life():
            await eventually(lambda: _settled(owner, len(events)))
            record = await read_sandbox(outside.url, {"stripe": _KEY})

            async def is_clean() -> bool:
                report = await consult(owner, record, bounds=Bounds(work=timedelta(0)))
                return report.is_clean

            await eventually(is_clean)
        assert all(fleet.killed[point] for point in _POINTS)
        counts = await owner.fetch(
            "select count(*) as n from payments.disputes group by payment_id"
        )
        assert [row["n"] for row in counts] == [1] * _PAYMENTS
        assert await owner.fetchval("select count(*) from messaging.dead_letters") == 0
        await owner.close()


def _settings(urls: DatabaseUrls, outside: Outside) -> dict[str, str]:
    return {
        "DATABASE_URL": urls.application,
        "GRPC_TOKEN": TOKEN,
        "STRIPE_API_KEY": _KEY,
        "STRIPE_API_BASE": outside.url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "LEASE_SECONDS": "2",
        # What was delivered is to be enough.
        "WEBHOOK_COMPARISON_SECONDS": "3600",
        "WEBHOOK_GRACE_SECONDS": "86400",
    }
