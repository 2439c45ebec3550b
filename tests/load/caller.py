"""A merchant's program: it pays over HTTP, and reads what it is told and how long that took."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp

from services.runtime.run_file import RunFile

_SECONDS: Final = 120.0
_KEPT_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2
_COME_AGAIN: Final = frozenset({409, 429, 503, 504})

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and after how long."""

    status: int
    headers: Mapping[str, str]
    body: Any
    seconds: float


class Caller:
    """One merchant, with as many connections as it takes."""

    def __init__(self, http: aiohttp.ClientSession, run: RunFile) -> None:
        assert run.merchant is not None
        assert run.sandbox_url is not None
        self._http = http
        self._url = str(run.http_url)
        self._key = run.merchant["api_key"]
        self.sandbox_url = run.sandbox_url
        self.webhook_secret = run.stripe_webhook_secret or ""

    async def post(self, path: str, body: Mapping[str, Any], *, key: str = "") -> Answer:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Idempotency-Key": key or str(uuid.uuid4()),
        }
        return await self._ask("POST", f"{self._url}/api/v1{path}", json=body, headers=headers)

    async def get(self, path: str) -> Answer:
        headers = {"Authorization": f"Bearer {self._key}"}
        return await self._ask("GET", f"{self._url}/api/v1{path}", headers=headers)

    async def pay(self, *, key: str = "", **changed: Any) -> Answer:
        """A payment of a user of its own."""
        return await self.post("/payments", order(**changed), key=key)

    async def pay_surely(self, **changed: Any) -> Answer:
        """A payment, asked for again under its key until it is answered for good."""
        key = str(uuid.uuid4())
        while True:
            # A connection that was kept may be closed just as it is used again: the key makes sure.
            with suppress(aiohttp.ServerDisconnectedError):
                answer = await self.pay(key=key, **changed)
                if answer.status not in _COME_AGAIN:
                    return answer
            await asyncio.sleep(_PAUSE_SECONDS)

    async def click(self, page: str) -> None:
        """What a customer does who proves who they are."""
        await self._ask("POST", page, data={"outcome": "complete"}, allow_redirects=False)

    async def deliver(self, body: bytes, signature: str) -> Answer:
        """What the processor does to tell of an event."""
        headers = {"Stripe-Signature": signature}
        url = f"{self._url}/api/v1/webhooks/stripe"
        return await self._ask("POST", url, data=body, headers=headers)

    async def sandbox(self, method: str, path: str, **how: Any) -> Any:
        """A call of the sandbox's own: its controls, or its API with our key."""
        answer = await self._ask(method, f"{self.sandbox_url}{path}", **how)
        assert answer.status == 200, answer
        return answer.body

    async def _ask(self, method: str, url: str, **how: Any) -> Answer:
        began = time.perf_counter()
        async with self._http.request(method, url, **how) as response:
            is_json = "json" in response.headers.get("Content-Type", "")
            body = await response.json(content_type=None) if is_json else await response.text()
            seconds = time.perf_counter() - began
            return Answer(response.status, response.headers, body, seconds)


@asynccontextmanager
async def caller(run: RunFile) -> AsyncIterator[Caller]:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    # The gateway closes what is idle for ten seconds.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        yield Caller(http, run)


CHALLENGED: Final = {
    "payment_method": "pm_card_threeDSecure2Required",
    "return_url": "https://shop.example/thanks",
}
"""What the order of a customer says whose bank wants to know who they are."""


def order(**changed: Any) -> Mapping[str, Any]:
    """A payment request in canonical form, of a user of its own."""
    return {
        "amount": 1250,
        "currency": "USD",
        "method": "card",
        "payment_method": "pm_card_visa",
        "user_id": str(uuid.uuid4()),
        **changed,
    }


async def side_by_side(
    work: Callable[[U], Awaitable[T]], items: Iterable[U], *, at_once: int
) -> list[T]:
    """The work on every item, so many at a time; the results in the items' order."""
    slots = asyncio.Semaphore(at_once)

    async def one(item: U) -> T:
        async with slots:
            return await work(item)

    return list(await asyncio.gather(*map(one, items)))
