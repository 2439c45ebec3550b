"""Two writers, a wire cut inside COMMIT, a server killed: what was acknowledged stands, once."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from services.runtime.embedded_postgres import EmbeddedPostgres
from services.runtime.migrate import migrate
from tests.runtime.cutting_proxy import Cut, CuttingProxy

_CUTS = 190
_RESTARTS = 10


async def test_no_acknowledged_transaction_is_lost_or_doubled_by_cuts_and_restarts(
    short_tmp_path: Path,
) -> None:
    home, door = short_tmp_path / "home", short_tmp_path / "door"
    door.mkdir()
    server = await EmbeddedPostgres.start(home)
    await migrate(owner_url=server.owner_url, application_url=server.application_url)
    through_proxy = server.application_url.replace(str(server.socket.parent), str(door))
    async with (
        CuttingProxy(server.socket, door, seed=33) as proxy,
        _writers(through_proxy, short_tmp_path),
    ):
        for restart in range(_RESTARTS):
            await _cut(proxy, _CUTS // _RESTARTS)
            await _end_server(server, home, by_kill=restart % 2 == 0)
            server = await EmbeddedPostgres.start(home)
        await _cut(proxy, 1)
    acknowledged = _acknowledged(short_tmp_path)
    stored, sums_minor = await _stored(server), await _sums_minor(server)
    await server.stop()
    assert len(proxy.cuts_made) > _CUTS
    assert set(proxy.cuts_made) == set(Cut)
    assert len(acknowledged) > 200
    assert {key: stored.get(key) for key in acknowledged} == acknowledged
    assert sums_minor == {"USD": 0, "EUR": 0}


@asynccontextmanager
async def _writers(url: str, folder: Path) -> AsyncIterator[None]:
    """Two processes that write; in the end they are let finish what they have begun."""
    writers = [await _start_writer(url, name, folder) for name in ("writer-a", "writer-b")]
    try:
        yield
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
            assert await writer.wait() == 0
    finally:
        for writer in writers:
            if writer.returncode is None:
                writer.kill()
                await writer.wait()


async def _start_writer(url: str, name: str, folder: Path) -> asyncio.subprocess.Process:
    with (folder / f"{name}.acknowledged").open("w") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.ledger.writer_process", url, name,
            stdin=asyncio.subprocess.PIPE, stdout=output,
        )  # fmt: skip


async def _cut(proxy: CuttingProxy, times: int) -> None:
    for _ in range(times):
        made = len(proxy.cuts_made)
        proxy.cut_next()
        async with asyncio.timeout(60):
            while len(proxy.cuts_made) == made:  # noqa: ASYNC110 -- the proxy tells nobody
                await asyncio.sleep(0.005)


async def _end_server(server: EmbeddedPostgres, home: Path, *, by_kill: bool) -> None:
    if by_kill:
        os.kill(_postmaster_pid(home), signal.SIGKILL)
    await server.stop()


def _postmaster_pid(home: Path) -> int:
    return int(next(home.rglob("postmaster.pid")).read_text().splitlines()[0])


def _acknowledged(folder: Path) -> dict[str, str]:
    lines: list[tuple[str, str]] = [
        (line.split()[0], line.split()[1])
        for file in folder.glob("*.acknowledged")
        for line in file.read_text().splitlines()
    ]
    acknowledged = dict(lines)
    assert len(acknowledged) == len(lines)
    return acknowledged


async def _stored(server: EmbeddedPostgres) -> dict[str, str]:
    connection = await asyncpg.connect(server.owner_url)
    rows = await connection.fetch(
        """select idempotency_key, id from ledger.ledger_transactions
            where (select count(*) from ledger.ledger_entries
                    where transaction_id = ledger_transactions.id) = leg_count"""
    )
    total = await connection.fetchval("select count(*) from ledger.ledger_transactions")
    events = await connection.fetchval("select count(distinct key) from messaging.outbox")
    await connection.close()
    assert len(rows) == total == events
    return {row["idempotency_key"]: f"ltx_{row['id'].hex}" for row in rows}


async def _sums_minor(server: EmbeddedPostgres) -> dict[str, int]:
    connection = await asyncpg.connect(server.owner_url)
    rows = await connection.fetch(
        "select currency, sum(amount) as total from ledger.ledger_entries group by currency"
    )
    await connection.close()
    return {row["currency"]: int(row["total"]) for row in rows}
