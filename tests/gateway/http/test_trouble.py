"""What merchants see while something behind the gateway is away, busy, or about to stop."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.webhooks.v1.webhook_service_pb2_grpc import WebhookServiceStub

from gateway.means import Services
from gateway.server import serve
from services.runtime.rpc import Middleware, Registry, connect, connect_in_process
from services.runtime.settings import load_settings
from services.runtime.startup import StartupError
from services.runtime.telemetry import Telemetry
from tests.conftest import DatabaseUrls
from tests.gateway.http.stage import Shop, Stage, open_stage, order

_NOBODY_THERE = "127.0.0.1:9"
_TOKEN = "whatever one shows to nobody"  # noqa: S105 -- as it says


@pytest.fixture
async def own_stage(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage of the test's own, which it may break."""
    async with open_stage(database_urls.application, tmp_path) as stage:
        yield stage


@asynccontextmanager
async def second_gateway(stage: Stage, **replaced: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Another gateway of the same system, which reaches some services elsewhere."""
    services = replace(Services.over(stage.system.channel), **replaced)
    telemetry = Telemetry.create("second")
    server = await serve(services, load_settings(http_port=0), telemetry)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        yield http
    await server.stop(drain_seconds=5)


async def test_a_pool_that_stays_busy_is_a_503_and_a_payment_is_paid_once_it_is_free(
    own_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await own_stage.merchant()
    payment = await shop.pay()
    database = own_stage.system.database
    monkeypatch.setattr(database, "_patience", timedelta(seconds=0.3))
    async with AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(database.connection())
        answer = await shop.get(f"/payments/{payment['id']}")
        assert (answer.status, answer.code) == (503, "database_busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await own_stage.http.get("/readyz")).status_code == 503
        assert (await own_stage.http.get("/healthz")).status_code == 200
    assert (await own_stage.http.get("/readyz")).status_code == 200
    assert (await shop.post("/payments", order())).status == 201


async def test_an_idle_connection_is_kept_for_as_long_as_is_set(stage: Stage) -> None:
    services = Services.over(stage.system.channel)
    # Eight seconds are for a machine that is busy, and fewer than granian's own thirty.
    for idle_seconds, patience_seconds, is_closed in ((1, 8, True), (75, 3, False)):
        settings = load_settings(http_port=0, http_idle_seconds=idle_seconds)
        server = await serve(services, settings, Telemetry.create(f"idle for {idle_seconds} s"))
        assert await _is_closed(httpx.URL(server.url), patience_seconds) is is_closed
        await server.stop(drain_seconds=5)


async def _is_closed(url: httpx.URL, within_seconds: float) -> bool:
    """Whether the server closes a connection on which it has answered, and nobody asks again."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = re.findall(rb"content-length: (\d+)", head)
    await reader.readexactly(int(length))
    try:
        return await asyncio.wait_for(reader.read(), within_seconds) == b""
    except TimeoutError:
        return False
    finally:
        writer.close()


async def test_a_payment_is_shown_without_its_lines_while_the_ledger_is_away(
    own_stage: Stage,
) -> None:
    shop = await own_stage.merchant()
    payment = await shop.pay()
    async with (
        connect(_NOBODY_THERE, token=_TOKEN) as away,
        second_gateway(own_stage, ledger=LedgerServiceStub(away)) as http,
    ):
        there = Shop(http, shop.merchant_id, shop.api_key)
        answer = await there.get(f"/payments/{payment['id']}")
    assert (answer.status, answer.body["status"], answer.body["ledger"]) == (200, "captured", None)


async def test_a_service_that_cannot_be_reached_is_a_503(own_stage: Stage) -> None:
    shop = await own_stage.merchant()
    async with connect(_NOBODY_THERE, token=_TOKEN) as away:
        orchestrator, access = OrchestratorServiceStub(away), AccessServiceStub(away)
        for replaced in ({"orchestrator": orchestrator}, {"access": access}):
            async with second_gateway(own_stage, **replaced) as http:
                there = Shop(http, shop.merchant_id, shop.api_key)
                answer = await there.post("/payments", order())
                assert (answer.status, answer.code) == (503, "service_unavailable")
                assert answer.headers["retry-after"] == "1"
        async with second_gateway(own_stage, orchestrator=orchestrator) as http:
            assert (await http.get("/readyz")).status_code == 503


async def test_a_service_that_is_not_served_is_a_503(own_stage: Stage) -> None:
    registry = Registry(Middleware(Telemetry.create("empty")))
    async with (
        connect_in_process(registry) as nobody,
        second_gateway(own_stage, webhooks=WebhookServiceStub(nobody)) as http,
    ):
        response = await http.post("/api/v1/webhooks/stripe", content=b"{}")
    assert response.status_code == 503


async def test_what_runs_is_answered_before_the_server_stops(own_stage: Stage) -> None:
    shop = await own_stage.merchant("slow")
    running = asyncio.create_task(shop.post("/payments", order()))
    await asyncio.sleep(0.3)
    stopping = asyncio.create_task(own_stage.server.stop(drain_seconds=30))
    await asyncio.sleep(0.2)
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as other:
            await other.get(f"{own_stage.server.url}/healthz")
    assert (await running).status == 201
    await stopping


async def test_what_runs_too_long_is_cut_off_and_the_payment_goes_on(own_stage: Stage) -> None:
    shop = await own_stage.merchant("slow")
    running = asyncio.create_task(shop.post("/payments", order()))
    await asyncio.sleep(0.3)
    began_at = time.monotonic()
    await own_stage.server.stop(drain_seconds=0.1)
    assert time.monotonic() - began_at < 5
    await asyncio.gather(running, return_exceptions=True)
    async with second_gateway(own_stage) as http:
        there = Shop(http, shop.merchant_id, shop.api_key)
        assert await _status_in_the_end(there) == "captured"


async def test_a_port_that_is_taken_is_refused_at_once(own_stage: Stage) -> None:
    port = int(own_stage.server.url.rsplit(":", 1)[1])
    services = Services.over(own_stage.system.channel)
    settings = load_settings(http_port=port)
    with pytest.raises(StartupError, match="HTTP_PORT"):
        await serve(services, settings, Telemetry.create("second"))


async def _status_in_the_end(shop: Shop) -> str:
    """What becomes of a merchant's only payment."""
    async with asyncio.timeout(30):
        while True:
            (payment,) = (await shop.get("/payments")).body["data"]
            if payment["status"] in ("captured", "failed"):
                return str(payment["status"])
            await asyncio.sleep(0.05)
