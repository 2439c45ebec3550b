"""PostgreSQL is restarted again and again while people pay."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path

import asyncpg
import pytest

from services.kernel.errors import DeadlineExceeded, InFlight, Unavailable
from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate
from tests.conftest import DatabaseUrls
from tests.faults.aftermath import come_to_rest, verdict
from tests.faults.conftest import LONG, Tell
from tests.faults.load import load
from tests.faults.scene import scene
from tests.torture.stage import stage

_LASTS_SECONDS = 120 if LONG else 5
_GAP_SECONDS = (5, 20) if LONG else (0.7, 1.2)
_LINGERS_SECONDS = 1.0
# What tells a caller to come again: the same key brings the answer.
_PASSING = {Unavailable, InFlight, DeadlineExceeded}


class Shutdown(Enum):
    """The ways in which a server can be told to end."""

    SMART = signal.SIGTERM
    """Nobody new is let in; who is there stays. Ours would stay for ever, and are cut in time."""
    FAST = signal.SIGINT
    """All are cut, what they had begun is rolled back."""
    IMMEDIATE = signal.SIGQUIT
    """As in a crash: the next start recovers."""


class Server:
    """A PostgreSQL that can be told to end, and started again in the same place."""

    def __init__(self, home: Path, postgres: EmbeddedPostgres) -> None:
        self._home = home
        self._postgres = postgres
        self.urls = DatabaseUrls(postgres.owner_url, postgres.application_url)
        self.restarts: list[tuple[Shutdown, float]] = []
        """How it was ended each time, and after how many seconds it answered again."""

    async def restart(self, way: Shutdown) -> None:
        began_at = time.monotonic()
        pid_file = self._home / "postgres" / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), way.value)
        if way is Shutdown.SMART:
            await asyncio.sleep(_LINGERS_SECONDS)
        await self._postgres.stop()
        self._postgres = await EmbeddedPostgres.start(self._home)
        self.restarts.append((way, time.monotonic() - began_at))

    async def stop(self) -> None:
        await self._postgres.stop()


@pytest.fixture
async def server(short_tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(short_tmp_path, await EmbeddedPostgres.start(short_tmp_path))
    try:
        await migrate(owner_url=server.urls.owner, application_url=server.urls.application)
        yield server
    finally:
        await server.stop()


async def test_restarts_of_postgresql_lose_double_and_strand_nothing(
    server: Server, short_tmp_path: Path, tell: Tell
) -> None:
    chance = random.Random(7)
    async with (
        stage(server.urls, short_tmp_path, seed=7, bootstrap=None) as made,
        scene(made) as there,
    ):
        async with load(there) as meter:
            meter.phase = "restarting"
            over_at = time.monotonic() + _LASTS_SECONDS
            while time.monotonic() < over_at or len(server.restarts) < len(Shutdown):
                await asyncio.sleep(chance.uniform(*_GAP_SECONDS))
                await server.restart(list(Shutdown)[len(server.restarts) % len(Shutdown)])
        owner = await asyncpg.connect(server.urls.owner)
        rest_seconds = await come_to_rest(owner, within_seconds=60)
        report = await verdict(there, owner)
        await owner.close()
    away = [seconds for _, seconds in server.restarts]
    tell(
        [
            f"{len(away)} restarts, each away for {min(away):.1f} to {max(away):.1f} s",
            *meter.told(),
            f"{len(meter.failures['restarting'])} calls of the meter were answered UNAVAILABLE",
            f"rest {rest_seconds:.1f} s",
            report,
        ]
    )
    assert report.is_clean, report
    assert report.payments["captured"] > 0
    assert {type(error) for error in meter.failures["restarting"]} <= _PASSING
