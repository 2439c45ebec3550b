"""A sandbox in the test's own event loop, and the official SDK pointed at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from sandbox.server import Options, Sandbox
from sandbox.wire import Answer, HttpServer, Request

Merchant = Callable[..., stripe.StripeClient]


@dataclass(frozen=True)
class Control:
    """The sandbox's control API."""

    http: httpx.AsyncClient

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        answer = await self.http.get(f"/_sandbox/{path}", params=query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def post(self, path: str, **order: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/_sandbox/{path}", json=order)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def attempts(self) -> list[dict[str, Any]]:
        record = await self.get("record", lists="attempts")
        attempts: list[dict[str, Any]] = record["attempts"]
        return attempts


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens in the background; a slow machine may take its time."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 (what is awaited happens behind a wire)
            await asyncio.sleep(0.02)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    running = await Sandbox.start(Options(data=tmp_path / "sandbox", port=0, seed=7))
    yield running
    await running.close()


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return f"http://127.0.0.1:{sandbox.http.port}"


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture
def control(http: httpx.AsyncClient) -> Control:
    return Control(http)


@pytest.fixture
async def merchant(url: str) -> AsyncIterator[Merchant]:
    """The official SDK; it never retries by itself, so that every answer is seen."""
    http_client: Any = stripe.HTTPXClient(timeout=30)

    def make(key: str = "sk_test_merchant", **options: Any) -> stripe.StripeClient:
        return stripe.StripeClient(
            key,
            base_addresses={"api": url},
            http_client=http_client,
            max_network_retries=0,
            **options,
        )

    yield make
    await http_client.close_async()


@pytest.fixture
def api(merchant: Merchant) -> Any:
    """One merchant's operations. The SDK's services are typed; its parameters are plain dicts."""
    return merchant().v1


@dataclass
class Receiver:
    """A merchant's webhook endpoint: keeps what it is sent, answers what it is told to."""

    requests: list[Request]
    statuses: list[int]
    url: str = ""

    async def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        return Answer(self.statuses.pop(0) if self.statuses else 200, b"")

    def events(self, secret: str) -> list[stripe.Event]:
        return [
            stripe.Webhook.construct_event(
                request.body, request.headers["stripe-signature"], secret
            )
            for request in self.requests
        ]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    listening = Receiver([], [])
    server = await HttpServer.listen(listening, "127.0.0.1", 0)
    listening.url = f"http://127.0.0.1:{server.port}/hook"
    yield listening
    await server.close()
