"""The world outside: processors with faults, banks, customers, and the post that tells of it all.

The sandbox is all of them. What it tells goes to a door of the torture's own, which hands each
delivery to whoever is alive; one that nobody took in is sent again.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from oracle import Record, read_sandbox
from tests.webhooks.door import Door
from tests.webhooks.letters import SECRET

ACCOUNTS: Final = {"stripe_one": "sk_test_torture_one", "stripe_two": "sk_test_torture_two"}
_READY: Final = "sandbox: ready on "
_TIMEOUT_SECONDS: Final = 60
_FAILED_AUTHENTICATIONS: Final = 0.2
_UNDER_DISPUTE: Final = frozenset({"needs_response", "under_review"})

# What goes wrong at the processor now and then, beside what goes wrong here.
_FAULTS: Final[Sequence[Mapping[str, Any]]] = (
    {"kind": "reply_lost", "operation": "payment_intents.*", "probability": 0.03},
    {"kind": "reply_lost", "operation": "refunds.create", "probability": 0.05},
    {"kind": "server_error", "operation": "payment_intents.confirm", "probability": 0.01},
    {"kind": "server_error", "operation": "*.capture", "probability": 0.01, "when": "after"},
    {"kind": "server_error", "operation": "refunds.create", "probability": 0.02, "when": "after"},
    {"kind": "hang", "operation": "*", "probability": 0.004, "delay_ms": 4_000},
    {"kind": "rate_limit", "operation": "*", "probability": 0.02},
    {"kind": "slow", "operation": "*", "probability": 0.03, "delay_ms": 150},
)
# How the post goes: what was dropped is never sent again, and found in the processor's list alone.
_BAD_POST: Final[Mapping[str, Any]] = {
    "duplicate": 0.2,
    "drop": 0.02,
    "delay_max_ms": 500,
    "shuffle": 5,
}
_RETRIES: Final[Mapping[str, Any]] = {"retry_base_ms": 50}


@dataclass(frozen=True)
class Outside:
    """The sandbox and what can be asked of it."""

    url: str
    door: Door
    controls: httpx.AsyncClient

    async def record(self) -> Record:
        """What the processors say that they did."""
        return await read_sandbox(self.url, ACCOUNTS)

    async def strike(self) -> None:
        """Have things go wrong."""
        for fault in _FAULTS:
            (await self.controls.post("faults", json=fault)).raise_for_status()
        await self._post(_BAD_POST)

    async def relent(self) -> None:
        """Have them go right again."""
        (await self.controls.delete("faults")).raise_for_status()
        await self._post({})

    async def _post(self, how: Mapping[str, Any]) -> None:
        (await self.controls.post("webhooks", json={**how, **_RETRIES})).raise_for_status()

    async def decide_disputes(self, chance: random.Random) -> None:
        """Banks decide about half of what their customers dispute, one way or the other."""
        for dispute in await self._listed("disputes"):
            if dispute["state"] in _UNDER_DISPUTE and chance.random() < 0.5:
                decision = chance.choice(("win", "lose"))
                answer = await self.controls.post(f"disputes/{dispute['id']}/{decision}", json={})
                answer.raise_for_status()

    async def authenticate(self, page: str, chance: random.Random) -> None:
        """A customer completes what the bank asks, or fails it."""
        outcome = "fail" if chance.random() < _FAILED_AUTHENTICATIONS else "complete"
        await self.controls.post(page, data={"outcome": outcome})

    async def event_ids(self) -> frozenset[str]:
        """Everything that there was to tell."""
        return frozenset(each["id"] for each in await self._listed("events"))

    async def _listed(self, name: str) -> Sequence[Mapping[str, Any]]:
        answer = await self.controls.get("record", params={"lists": name})
        answer.raise_for_status()
        found: Sequence[Mapping[str, Any]] = answer.json()[name]
        return found


@asynccontextmanager
async def outside(folder: Path, seed: int) -> AsyncIterator[Outside]:
    """A sandbox as a process of its own, and a door for what it tells."""
    door = Door()
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--data", str(folder), "--port", "0", "--seed", str(seed),
        "--webhook-url", f"http://127.0.0.1:{port}/", "--webhook-secret", SECRET,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), _TIMEOUT_SECONDS)).decode()
        assert line.startswith(_READY), line
        url = line.removeprefix(_READY).split(",")[0]
        async with httpx.AsyncClient(
            base_url=f"{url}/_sandbox/", timeout=_TIMEOUT_SECONDS, trust_env=False
        ) as controls:
            yield Outside(url, door, controls)
    finally:
        process.terminate()
        await process.wait()
        server.close()
        await server.wait_closed()
