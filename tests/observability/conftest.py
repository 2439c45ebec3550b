"""The platform as it is run for real, in one process: HTTP before it, a sandbox behind it.

The sandbox sends its webhooks to the gateway, so that a payment is seen from the request that asks
for it to what the processor tells of it unasked.
"""

import asyncio
import io
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

import httpx
import pytest
import pytest_asyncio
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.server import serve
from sandbox.server import Options, Sandbox
from services.runtime.settings import Settings, load_settings
from services.runtime.telemetry import configure_logging
from services.system import open_system
from tests.conftest import DatabaseUrls
from tests.gateway.http.stage import GatewayClock, Shop, Stage

API_KEY: Final = "sk_test_observed0123456789abcdef"
WEBHOOK_SECRET: Final = "whsec_0123456789abcdef0123456789abcdef"  # noqa: S105 -- the sandbox's
GRPC_TOKEN: Final = "grpc-token-of-the-observed-0123456789"  # noqa: S105 -- of this process alone
_PATIENCE_SECONDS: Final = 60


@dataclass
class Observed:
    """A running platform, and what it has told of itself."""

    stage: Stage
    exporter: InMemorySpanExporter
    lines: io.StringIO

    def spans(self, trace_id: str) -> list[ReadableSpan]:
        """The spans of a trace that have ended, oldest first."""
        found = [
            span
            for span in self.exporter.get_finished_spans()
            if span.context is not None and f"{span.context.trace_id:032x}" == trace_id
        ]
        return sorted(found, key=lambda span: span.start_time or 0)

    async def metrics(self) -> str:
        """The page as Prometheus reads it."""
        return (await self.stage.http.get("/metrics")).text

    def told(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    async def webhooks_of(self, payment_id: str, wanted: set[str]) -> None:
        """Wait until the processor has told of a payment in these types of events."""

        async def are_applied() -> bool:
            told = [line for line in self.told() if line["event"] == "webhook applied"]
            types = {line["event_type"] for line in told if line.get("payment_id") == payment_id}
            return wanted <= types

        await until(are_applied)

    async def booked(self, shop: Shop, payment_id: str, transactions: int) -> None:
        """Wait until the ledger has so many transactions about a payment."""

        async def are_there() -> bool:
            return len((await shop.get(f"/payments/{payment_id}")).body["ledger"]) == transactions

        await until(are_there)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what comes about by itself."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await is_so():  # noqa: ASYNC110 -- what is waited for rings no bell
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def lines() -> Iterator[io.StringIO]:
    """Every log line of the process, debug lines included."""
    lines = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("switchyard", level="debug", stream=lines)
    yield lines
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed(
    module_database_urls: DatabaseUrls,
    tmp_path_factory: pytest.TempPathFactory,
    lines: io.StringIO,
) -> AsyncIterator[Observed]:
    home, port = tmp_path_factory.mktemp("observed"), _free_port()
    hook = f"http://127.0.0.1:{port}/api/v1/webhooks/stripe"
    sandbox = await Sandbox.start(
        Options(
            data=home / "sandbox",
            port=0,
            seed=49,
            webhook_url=hook,
            webhook_secret=WEBHOOK_SECRET,
        )
    )
    secrets = {"STRIPE_API_KEY": API_KEY, "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET}
    with patch.dict(os.environ, secrets):
        settings = load_settings(
            database_url=module_database_urls.application,
            switchyard_home=home,
            stripe_api_base=f"http://127.0.0.1:{sandbox.http.port}",
            http_port=port,
            grpc_token=GRPC_TOKEN,
            otel_traces_sampler="always_on",
        )
        async with _platform(settings) as stage:
            exporter = InMemorySpanExporter()
            stage.system.telemetry.tracing.export_to(exporter)
            yield Observed(stage, exporter, lines)
    await sandbox.close()


@asynccontextmanager
async def _platform(settings: Settings) -> AsyncIterator[Stage]:
    async with open_system(settings) as system:
        clock = GatewayClock()
        server = await serve(system.channel, settings, system.telemetry, clock=clock)
        try:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                yield Stage(system, server, http, clock)
        finally:
            await server.stop(drain_seconds=5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
