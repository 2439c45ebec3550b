"""The 3-D Secure page clicked in a real browser, by way of its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, HttpServer, Request
from tests.sandbox.conftest import eventually
from tests.sandbox.test_three_d_secure import waiting

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture
def chromium() -> str:
    if CHROMIUM is None and os.environ.get("CI") != "true":
        pytest.skip("chromium is not installed")
    assert CHROMIUM is not None, "CI has to have chromium"
    return CHROMIUM


class Browser:
    """A headless browser, spoken to over the pipe that DevTools offers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = 0
        self._session: dict[str, str] = {}

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._numbers += 1
        order = {"id": self._numbers, "method": method, "params": params} | self._session
        self._writer.write(json.dumps(order).encode() + b"\0")
        async with asyncio.timeout(60):
            while True:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if message.get("id") == self._numbers:
                    assert "error" not in message, message
                    result: dict[str, Any] = message["result"]
                    return result

    async def open(self, url: str) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = {"sessionId": attached["sessionId"]}
        await self.call("Page.navigate", url=url)

    async def evaluate(self, script: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def click(self, selector: str) -> None:
        async def is_there() -> bool:
            return bool(await self.evaluate(f"document.querySelector('{selector}') !== null"))

        await eventually(is_there)
        await self.evaluate(f"document.querySelector('{selector}').click()")


@pytest.fixture
async def browser(chromium: str, tmp_path: Path) -> AsyncIterator[Browser]:
    to_browser, from_test = os.pipe()
    to_test, from_browser = os.pipe()
    # DevTools reads from descriptor 3 and writes to 4.
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f'exec "$@" 3<&{to_browser} 4>&{from_browser}',
        "bash",
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
        f"--user-data-dir={tmp_path / 'profile'}",
        pass_fds=(to_browser, from_browser),
        stderr=asyncio.subprocess.DEVNULL,
    )
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    incoming, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(to_test, "rb")
    )
    outgoing, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(from_test, "wb")
    )
    os.close(to_browser)
    os.close(from_browser)
    yield Browser(reader, asyncio.StreamWriter(outgoing, protocol, None, loop))
    process.kill()
    await process.wait()
    incoming.close()
    outgoing.close()


@pytest.fixture
async def shop() -> AsyncIterator[tuple[str, list[Request]]]:
    visits: list[Request] = []

    async def serve(request: Request) -> Answer:
        visits.append(request)
        return Answer(200, b"<p>Welcome back</p>", {"Content-Type": "text/html"})

    server = await HttpServer.listen(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}/return", visits
    await server.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("button", "redirect_status", "state"),
    [("complete", "succeeded", "succeeded"), ("fail", "failed", "requires_payment_method")],
)
async def test_customer_clicks(  # noqa: PLR0917 (fixtures and a table's columns)
    api: Any,
    browser: Browser,
    shop: tuple[str, list[Request]],
    button: str,
    redirect_status: str,
    state: str,
) -> None:
    return_url, visits = shop
    intent = await waiting(api, return_url=return_url)
    await browser.open(intent.next_action.redirect_to_url.url)
    await browser.click(f"#{button}")

    async def returned() -> bool:
        return any(visit.path == "/return" for visit in visits)

    await eventually(returned)
    [visit] = [visit for visit in visits if visit.path == "/return"]
    assert f"payment_intent={intent.id}" in visit.query
    assert f"redirect_status={redirect_status}" in visit.query
    assert (await api.payment_intents.retrieve_async(intent.id)).status == state
