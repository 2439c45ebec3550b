"""The gateway's part in small: an HTTP door that hands each delivery over as it came."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from grpc import StatusCode
from grpc.aio import AioRpcError

from sandbox.server import Options, Sandbox
from tests.webhooks.letters import SECRET, Letter

_STATUSES = {StatusCode.UNAUTHENTICATED: 401, StatusCode.INVALID_ARGUMENT: 400}

Take = Callable[[Letter], Awaitable[Any]]


@dataclass
class Door:
    """Who takes deliveries in now, and how they were answered; nobody is a 503."""

    take: Take | None = None
    answers: list[int] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one delivery and hang up."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status = await self._answer(Letter(body, headers.get("stripe-signature", "")))
        self.answers.append(status)
        head_out = f"HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        writer.write(head_out.encode())
        await writer.drain()
        writer.close()

    async def _answer(self, letter: Letter) -> int:
        if self.take is None:
            return 503
        try:
            await self.take(letter)
        except AioRpcError as error:
            return _STATUSES.get(error.code(), 503)
        except ConnectionError:
            return 503
        return 200


@dataclass(frozen=True)
class Outside:
    """A sandbox and its two interfaces, one of them as an account; its webhooks may have a door."""

    url: str
    controls: httpx.AsyncClient
    api: httpx.AsyncClient
    door: Door = field(default_factory=Door)

    async def pay(self, count: int = 1, card: str = "pm_card_visa", **more: str) -> list[str]:
        """Payments made at the processor; the ids of their intents."""
        form = {
            "amount": "1250",
            "currency": "usd",
            "allowed_payment_method_types[]": "card",
            "payment_method": card,
            "confirm": "true",
            **more,
        }
        made = []
        for _ in range(count):
            answer = await self.api.post("payment_intents", data=form)
            assert answer.status_code == 200, answer.text
            made.append(answer.json()["id"])
        return made

    async def mischief(self, **how: Any) -> None:
        answer = await self.controls.post("webhooks", json=how)
        assert answer.status_code == 200, answer.text

    async def strike(self, kind: str, operation: str, **more: Any) -> None:
        """Have an operation go wrong from here on."""
        fault = {"kind": kind, "operation": operation, **more}
        answer = await self.controls.post("faults", json=fault)
        assert answer.status_code == 200, answer.text

    async def relent(self) -> None:
        """Have everything go right again."""
        (await self.controls.delete("faults")).raise_for_status()

    async def pass_time(self, **much: float) -> None:
        """Put the clock forward, with all that becomes due by that."""
        order = {"advance_seconds": timedelta(**much).total_seconds()}
        (await self.controls.post("clock", json=order)).raise_for_status()

    async def stop_clock(self) -> None:
        """Let nothing become due until time is let pass."""
        (await self.controls.post("clock", json={"frozen": True})).raise_for_status()

    async def resend(self, count: int) -> None:
        """Deliver some events again."""
        for event_id in sorted(await self.event_ids())[:count]:
            answer = await self.controls.post(f"events/{event_id}/resend", json={})
            assert answer.status_code == 200, answer.text

    async def event_ids(self) -> set[str]:
        """All events that there are, whoever was told of them."""
        return {event["id"] for event in await self.events()}

    async def events(self) -> list[dict[str, Any]]:
        """The same, whole, newest first."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 100}
        while True:
            page = (await self.api.get("events", params=params)).json()
            found += page["data"]
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1]["id"]


@asynccontextmanager
async def running_outside(folder: Path) -> AsyncIterator[Outside]:
    """A sandbox whose webhooks come to a door."""
    door = Door()
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = Options(
        data=folder / "sandbox",
        port=0,
        seed=11,
        webhook_url=f"http://127.0.0.1:{port}/",
        webhook_secret=SECRET,
    )
    sandbox = await Sandbox.start(options)
    try:
        async with visiting(f"http://127.0.0.1:{sandbox.http.port}", "sk_test_merchant") as outside:
            yield replace(outside, door=door)
    finally:
        await sandbox.close()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def visiting(url: str, key: str) -> AsyncIterator[Outside]:
    """A sandbox that runs, as the account of a key sees it."""
    authorization = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url=f"{url}/_sandbox/", timeout=30) as controls,
        httpx.AsyncClient(base_url=f"{url}/v1/", timeout=30, headers=authorization) as api,
    ):
        yield Outside(url, controls, api)
