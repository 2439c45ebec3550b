"""Webhooks: events signed as Stripe signs them, sent until someone answers 2xx."""

from __future__ import annotations

import asyncio
import heapq
import hmac
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Final

import httpx
import msgspec

from sandbox import codec
from sandbox.domain.webhook_endpoints import WebhookEndpoint
from sandbox.domain.work import Event
from sandbox.rows import Delivery
from sandbox.seed import Seed
from sandbox.shapes import View, shape
from sandbox.storage import Storage

TIMEOUT_SECONDS: Final = 20.0
MAX_TRIES: Final = 16
MAX_BACKOFF_SECONDS: Final = 300.0
MAX_AT_ONCE_PER_ENDPOINT: Final = 16
SHUFFLE_WAITS_SECONDS: Final = 0.25

_log = logging.getLogger(__name__)


class Mischief(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the network treats webhooks. Probabilities are drawn by seed, once for each delivery."""

    duplicate: float = 0.0
    drop: float = 0.0
    delay_min_ms: int = 0
    delay_max_ms: int = 0
    # Deliveries are gathered in groups of this size and each group is sent in another order.
    shuffle: int = 0
    # While true nothing is sent; what waits goes out when it becomes false.
    paused: bool = False
    retry_base_ms: int = 1_000


def sign(payload: bytes, secret: str, timestamp: int) -> str:
    """The Stripe-Signature header: an HMAC over the time and the exact bytes sent."""
    signed = b"%d.%b" % (timestamp, payload)
    digest = hmac.new(secret.encode(), signed, "sha256").hexdigest()
    return f"t={timestamp},v1={digest}"


class Webhooks:
    """Sends what is to be delivered, in the background, and remembers what came of it."""

    def __init__(self, storage: Storage, seed: Seed, view: Callable[[], View]) -> None:
        self._storage = storage
        self._seed = seed
        self._view = view
        self._mischief = Mischief()
        self._announced: list[Delivery] = []
        self._gathered: list[Delivery] = []
        self._gathered_until = 0.0
        self._queue = [(d.next_at, d.id, d) for d in _undelivered(storage)]
        heapq.heapify(self._queue)
        self._changed = asyncio.Event()
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_AT_ONCE_PER_ENDPOINT)
        )
        self._sending: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._dispatcher = asyncio.create_task(self._dispatch_forever())

    @property
    def mischief(self) -> Mischief:
        """How webhooks are treated now."""
        return self._mischief

    @mischief.setter
    def mischief(self, mischief: Mischief) -> None:
        self._mischief = mischief
        self._changed.set()

    async def close(self) -> None:
        """Stop sending; what is not delivered is sent after the next start."""
        tasks = (self._dispatcher, *self._sending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def announce(self, deliveries: Sequence[Delivery]) -> None:
        """Take note of new deliveries; they are sent once they are durable."""
        if deliveries:
            self._announced.extend(deliveries)
            self._changed.set()

    async def _dispatch_forever(self) -> None:
        while True:
            self._changed.clear()
            announced, self._announced = self._announced, []
            if announced:
                await self._storage.durable()
            for delivery in announced:
                self._treat(delivery)
            wait_seconds = self._send_due()
            # Not wait_for, which forgets that it was cancelled when both come at once.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()

    # What the network does to a delivery, decided once, before its first try.

    def _draw(self, purpose: str, delivery: Delivery) -> float:
        return self._seed.fraction(f"webhook/{purpose}", delivery.id)

    def _treat(self, delivery: Delivery) -> None:
        mischief = self._mischief
        if self._draw("drop", delivery) < mischief.drop:
            self._storage.add(deliveries=(replace(delivery, state="dropped"),))
            return
        copies = [delivery]
        if self._draw("duplicate", delivery) < mischief.duplicate:
            copies.append(replace(delivery, id=self._storage.next_sequence()))
        for copy in copies:
            self._gather(self._delayed(copy))

    def _delayed(self, delivery: Delivery) -> Delivery:
        least, most = self._mischief.delay_min_ms, self._mischief.delay_max_ms
        delay_ms = least + (most - least) * self._draw("delay", delivery)
        return replace(delivery, next_at=time.time() + delay_ms / 1000)

    def _gather(self, delivery: Delivery) -> None:
        if self._mischief.shuffle < 2:
            self._push(delivery)
            return
        if not self._gathered:
            self._gathered_until = time.time() + SHUFFLE_WAITS_SECONDS
        self._gathered.append(delivery)
        if len(self._gathered) >= self._mischief.shuffle:
            self._release()

    def _release(self) -> None:
        gathered, self._gathered = self._gathered, []
        for delivery in sorted(gathered, key=lambda held: self._draw("shuffle", held)):
            # The queue keeps the order of numbers among equals, so a shuffled one gets a new time.
            self._push(replace(delivery, next_at=max(delivery.next_at, time.time())))

    # Sending.

    def _push(self, delivery: Delivery) -> None:
        heapq.heappush(self._queue, (delivery.next_at, delivery.id, delivery))

    def _send_due(self) -> float | None:
        """Start what is due; how long until something else is, None for not by itself."""
        if self._mischief.paused:
            return None
        now = time.time()
        if self._gathered and self._gathered_until <= now:
            self._release()
            now = time.time()
        while self._queue and self._queue[0][0] <= now:
            task = asyncio.create_task(self._send(heapq.heappop(self._queue)[2]))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        moments = [self._queue[0][0]] if self._queue else []
        moments += [self._gathered_until] if self._gathered else []
        return max(0.0, min(moments) - now) if moments else None

    async def _send(self, delivery: Delivery) -> None:
        async with self._slots[delivery.endpoint]:
            tried = await self._try(delivery)
        self._storage.add(deliveries=(tried,))
        if tried.state == "pending":
            self._push(tried)
            self._changed.set()

    async def _try(self, delivery: Delivery) -> Delivery:
        endpoint = self._storage.find(WebhookEndpoint, delivery.endpoint)
        event = self._storage.find(Event, delivery.event)
        if endpoint is None or event is None or not endpoint.wants(event.type):
            return replace(delivery, state="dropped", last_result="endpoint is gone")
        payload = codec.encode(shape(event, self._view()))
        try:
            answer = await self._client.post(
                endpoint.url, content=payload, headers=_headers(payload, endpoint.secret)
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            return self._failed(delivery, type(failure).__name__)
        if answer.is_success:
            result = str(answer.status_code)
            return replace(
                delivery, state="delivered", tries=delivery.tries + 1, last_result=result
            )
        return self._failed(delivery, str(answer.status_code))

    def _failed(self, delivery: Delivery, result: str) -> Delivery:
        tries = delivery.tries + 1
        if tries >= MAX_TRIES:
            _log.warning("webhook %s given up after %d tries: %s", delivery.event, tries, result)
            return replace(delivery, state="failed", tries=tries, last_result=result)
        backoff = self._mischief.retry_base_ms / 1000 * 2 ** (tries - 1)
        next_at = time.time() + min(backoff, MAX_BACKOFF_SECONDS)
        return replace(delivery, tries=tries, last_result=result, next_at=next_at)


def _headers(payload: bytes, secret: str) -> dict[str, str]:
    # The receiver judges the time of signing by its own clock, so it is never the sandbox's.
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": sign(payload, secret, int(time.time())),
        "User-Agent": "Switchyard-Sandbox/1.0",
    }


def _undelivered(storage: Storage) -> list[Delivery]:
    columns = [column.name for column in fields(Delivery)]
    rows = storage.rows(
        f"select {', '.join(columns)} from deliveries where state = 'pending'"  # noqa: S608
    )
    return [Delivery(**dict(zip(columns, row, strict=True))) for row in rows]
