"""The processes that are alive, as those who call them see them."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from grpc.aio import Channel

from services.runtime.rpc import connect
from tests.torture.blows import Blow

TOKEN: Final = "a-token-that-all-processes-share-0123456789"  # noqa: S105 -- of this run alone
KILLED: Final = 9
_ROOT: Final = Path(__file__).parents[2]
_READY_SECONDS: Final = 60.0
_CLOSING_SECONDS: Final = 10.0
# How many of the calls for an operation go to a process that is to die with it.
_AIMED: Final = 0.7


@dataclass(eq=False)
class Worker:
    """One process."""

    pid: int
    blow: Blow | None
    channel: Channel | None = None
    ready: "asyncio.Future[int]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    ended: "asyncio.Future[int]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Fleet:
    """Starts processes and ends them, and says whom to call."""

    def __init__(self, nursery: asyncio.subprocess.Process, chance: random.Random) -> None:
        self._nursery = nursery
        self._chance = chance
        self._workers: dict[int, Worker] = {}
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._starting = asyncio.Lock()
        self._serving = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self.failures: list[str] = []

    async def start(self, blow: Blow | None) -> Worker:
        """A process that serves, and is to die as the blow says; None for one that goes on."""
        order = {"crash_at": blow.crash_at if blow else "", "seed": blow.seed if blow else 0}
        async with self._starting:
            await self._order(order)
            pid = await self._started.get()
            worker = self._workers[pid]
            worker.blow = blow
        async with asyncio.timeout(_READY_SECONDS):
            # One may die before it serves: its relay, say, where what waits is published.
            await asyncio.wait((worker.ready, worker.ended), return_when=asyncio.FIRST_COMPLETED)
        if worker.ready.done() and not worker.ended.done():
            worker.channel = connect(f"127.0.0.1:{worker.ready.result()}", token=TOKEN)
            self._serving.set()
        return worker

    async def kill(self, worker: Worker) -> None:
        """End it as kill -9 does."""
        await self._order({"kill": worker.pid})
        await worker.ended

    async def any(self, operation: str = "") -> Channel:
        """Somebody to call; often one who is to die with this operation."""
        while True:
            alive = [each for each in self._workers.values() if each.channel is not None]
            aimed = [each for each in alive if each.blow and each.blow.operation == operation]
            if aimed and self._chance.random() < _AIMED:
                alive = aimed
            if alive:
                channel = self._chance.choice(alive).channel
                assert channel is not None
                return channel
            self._serving.clear()
            await self._serving.wait()

    async def _order(self, order: Mapping[str, Any]) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order).encode() + b"\n")
        await self._nursery.stdin.drain()

    async def listen(self) -> None:
        """Hear from the nursery for as long as it lives."""
        assert self._nursery.stdout is not None
        async for line in self._nursery.stdout:
            told = json.loads(line)
            if "started" in told:
                self._worker(told["started"])
                self._started.put_nowait(told["started"])
            elif "ready" in told:
                self._worker(told["ready"]).ready.set_result(told["port"])
            elif "ended" in told:
                self._bury(self._workers.pop(told["ended"]), told["signal"])

    def _worker(self, pid: int) -> Worker:
        # It may say that it is ready before the nursery says that it was started.
        return self._workers.setdefault(pid, Worker(pid, None))

    def _bury(self, worker: Worker, how: int) -> None:
        channel, worker.channel = worker.channel, None
        if how != KILLED:
            self.failures.append(f"process {worker.pid} ended by itself ({how})")
        worker.ended.set_result(how)
        if channel is not None:
            # Calls that are under way notice by themselves that nobody is there any more.
            closing = asyncio.create_task(channel.close(_CLOSING_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Let go of whom was called."""
        channels = [each.channel for each in self._workers.values() if each.channel is not None]
        await asyncio.gather(*(each.close() for each in channels), *self._closing)


@asynccontextmanager
async def fleet(
    environment: Mapping[str, str], log: Path, chance: random.Random
) -> AsyncIterator[Fleet]:
    """A nursery, and whatever it brings forth; all of it is gone in the end."""
    with log.open("ab") as errors:
        nursery = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.torture.worker",
            cwd=_ROOT,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    started = Fleet(nursery, chance)
    listening = asyncio.create_task(started.listen(), name="nursery")
    try:
        yield started
    finally:
        await started.close()
        assert nursery.stdin is not None
        # Its end is the end of all that it forked.
        nursery.stdin.close()
        await nursery.wait()
        await listening
