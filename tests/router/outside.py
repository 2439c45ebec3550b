"""Sandboxes as processes of their own, which can be taken down and brought back."""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_READY = re.compile(rb"ready on (http://[\d.]+:(\d+))")


@dataclass
class OutsideProcessor:
    """One Stripe-like processor: its process, its address and its own record."""

    data: Path
    port: int = 0
    url: str = ""
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin to listen; after a stop, at the same address and with the same record."""
        command = ("-m", "sandbox", "--port", str(self.port), "--data", str(self.data))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            ready = _READY.search(await self.process.stdout.readline())
        assert ready is not None
        self.url, self.port = ready[1].decode(), int(ready[2])

    async def stop(self) -> None:
        """Go away; nothing listens at the address any more."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    async def strike(self, operation: str, kind: str, **order: Any) -> None:
        """Order what goes wrong with the next requests of an operation."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            order = {"operation": operation, "kind": kind, "count": 1, **order}
            answer = await client.post("/_sandbox/faults", json=order)
            assert answer.status_code == 200, answer.text

    async def relent(self) -> None:
        """Order that nothing goes wrong any more."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            answer = await client.delete("/_sandbox/faults")
            assert answer.status_code == 200, answer.text

    async def requests(self) -> list[str]:
        """The operation of every request that ever reached it, as its record says."""
        return [attempt["operation"] for attempt in (await self._record("attempts"))["attempts"]]

    async def charges(self) -> list[dict[str, Any]]:
        """The charges that succeeded."""
        charges = (await self._record("charges"))["charges"]
        return [charge for charge in charges if charge["state"] == "succeeded"]

    async def _record(self, lists: str) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            answer = await client.get("/_sandbox/record", params={"lists": lists})
            assert answer.status_code == 200, answer.text
            record: dict[str, Any] = answer.json()
            return record
