"""How many payment intents the sandbox creates and confirms in a second, each in two requests.

The load generator is bare sockets, so that what is measured is the sandbox and its disk. The
sandbox runs as its own process on a directory of its own, as `python -m sandbox` does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

import httptools
import uvloop

TARGET_PER_SECOND: Final = 500


@dataclass
class Tally:
    """What came back."""

    paid: int = 0
    wrong: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


class Payer(asyncio.Protocol):
    """One connection that pays again and again: create, confirm, check."""

    def __init__(self, name: str, tally: Tally) -> None:
        self._name = name
        self._tally = tally
        self._number = 0
        self._began = 0.0
        self._confirming = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._create()

    def _send(self, path: str, key: str, parameters: dict[str, object]) -> None:
        body = urlencode(parameters).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sk_test_bench\r\n"
            f"Idempotency-Key: {key}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(head.encode() + body)  # type: ignore[attr-defined]  # a transport writes

    def _create(self) -> None:
        self._confirming = False
        self._number += 1
        self._began = time.perf_counter()
        self._send(
            "/v1/payment_intents",
            f"{self._name}-{self._number}-create",
            {"amount": 1250, "currency": "usd", "allowed_payment_method_types[]": "card"},
        )

    def _confirm(self, intent_id: str) -> None:
        self._confirming = True
        self._send(
            f"/v1/payment_intents/{intent_id}/confirm",
            f"{self._name}-{self._number}-confirm",
            {"payment_method": "pm_card_visa"},
        )

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer = json.loads(self._body)
        if not self._confirming and answer.get("status") == "requires_payment_method":
            self._confirm(answer["id"])
            return
        self._tally.latencies_ms.append((time.perf_counter() - self._began) * 1000)
        if answer.get("status") == "succeeded":
            self._tally.paid += 1
        else:
            self._tally.wrong.append(self._body.decode()[:200])
        self._create()


@contextmanager
def running_sandbox() -> Iterator[str]:
    """A sandbox of its own on a free port; its URL."""
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as directory:
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own module)
            assert process.stdout is not None
            yield process.stdout.readline().split()[3].rstrip(",")
            process.terminate()


async def pay(url: str, connections: int, seconds: float) -> tuple[Tally, float]:
    """Pay over so many connections for so long; what came of it, and the time it took."""
    where, tally = urlsplit(url), Tally()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    payers = [
        await loop.create_connection(
            lambda n=number: Payer(f"payer-{n}", tally),  # type: ignore[misc]  # a default binds n
            where.hostname or "",
            where.port or 0,
        )
        for number in range(connections)
    ]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for transport, _ in payers:
        transport.abort()
    return tally, took


def main(arguments: Sequence[str] = ()) -> int:
    """Measure and report; 1 when the target was missed or an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench sandbox", description=__doc__)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)
    with running_sandbox() as url:
        tally, took = uvloop.run(pay(url, options.connections, options.seconds))
    rate = tally.paid / took
    cuts = statistics.quantiles(tally.latencies_ms, n=100)
    sys.stdout.write(
        f"sandbox: {rate:,.0f} payment intents/s created and confirmed"
        f" ({2 * rate:,.0f} requests/s), p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms,"
        f" {options.connections} connections, {took:.1f} s; target {TARGET_PER_SECOND}\n"
    )
    for wrong in tally.wrong[:3]:
        sys.stdout.write(f"sandbox: unexpected answer: {wrong}\n")
    return 0 if rate >= TARGET_PER_SECOND and not tally.wrong else 1
