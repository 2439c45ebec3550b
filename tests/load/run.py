"""The run: one promise after another on a platform of its own, and the oracle's word in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from oracle import Bounds, Report, consult, read_sandbox
from services.runtime.database import Connection
from services.runtime.run_file import RunFile
from tests.load.caller import Caller, caller
from tests.load.faults import faults
from tests.load.intents import intents, same_key
from tests.load.measured import Measured, Sizes
from tests.load.scarcity import scarcity
from tests.load.waiting import slow_processor, three_d_secure
from tests.load.webhooks import burst, stream
from tests.running_platform import ACCOUNTS, channel_to, let_try, platform

_QUIET_SECONDS: Final = 180.0
_BOUNDS: Final = Bounds(work=timedelta(seconds=20), in_doubt=timedelta(minutes=5))
# What is held back is not missed meanwhile, or it would be fetched before it is delivered.
_PATIENT: Final = {"WEBHOOK_GRACE_SECONDS": "86400"}

Say = Callable[[Measured], None]


@dataclass(frozen=True)
class Scene:
    """A platform, whoever calls it, and a look behind it."""

    run: RunFile
    caller: Caller
    owner: Connection


async def load(folder: Path, *, sizes: Sizes, seed: int, say: Say) -> list[Measured]:
    """Measure everything; each is said as soon as it is known."""
    found: list[Measured] = []

    def note(measured: list[Measured]) -> None:
        for each in measured:
            found.append(each)
            say(each)

    async with _scene(folder / "wide", "cli") as there:
        note(await intents(there.caller, sizes))
        note(await same_key(there.caller, sizes))
        note(await slow_processor(there.caller, sizes))
        note(await three_d_secure(there.caller, sizes))
        note(await faults(there.caller, there.owner, sizes))
        note(await stream(there.caller, there.owner, sizes))
        note(await burst(there.caller, there.owner, sizes, Random(seed)))
        note([await _verdict(there, "after all that")])
    async with _scene(folder / "narrow", "tests.load.narrow") as there:
        note(await scarcity(there.caller, sizes))
        note([await _verdict(there, "after too few connections")])
    return found


@asynccontextmanager
async def _scene(folder: Path, module: str) -> AsyncIterator[Scene]:
    async with (
        platform(_made(folder), module=module, **_PATIENT) as there,
        caller(there.run) as calling,
    ):
        owner = await asyncpg.connect(there.run.database_url, user="postgres")
        assert there.run.merchant is not None
        try:
            async with channel_to(there.run) as channel:
                await let_try(channel, there.run.merchant["id"])
            yield Scene(there.run, calling, owner)
        finally:
            await owner.close()


def _made(folder: Path) -> Path:
    # PostgreSQL runs as an account of its own, and passes through.
    folder.mkdir(mode=0o711)
    return folder


async def _verdict(there: Scene, when: str) -> Measured:
    """The oracle's word, once it is content or has had the time to be."""
    assert there.run.sandbox_url is not None
    give_up_at = time.monotonic() + _QUIET_SECONDS
    async with channel_to(there.run) as channel:
        while True:
            record = await read_sandbox(there.run.sandbox_url, ACCOUNTS)
            ledger = LedgerServiceStub(channel)
            report = await consult(there.owner, record, ledger=ledger, bounds=_BOUNDS)
            if report.is_clean or time.monotonic() > give_up_at:
                return Measured(f"the oracle, {when}", _in_short(report), report.is_clean)
            await asyncio.sleep(1)


def _in_short(report: Report) -> str:
    payments = sum(report.payments.values())
    if report.is_clean:
        return f"{payments} payments, no violation"
    shown = "; ".join(str(each) for each in report.violations[:3])
    return f"{payments} payments, {len(report.violations)} violations: {shown}"
