"""payment-cli dlq against a system that serves, over its network door."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr
from structlog.testing import capture_logs

from cli.main import main
from services.runtime.database import Connection, Database
from services.runtime.messaging.consumer import Consumer, Unreadable
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.rpc import GrpcServer
from services.runtime.run_file import RunFile
from services.runtime.settings import Settings
from services.system import System, open_system
from tests.messaging.system import count, message, publish, record_effect, until, until_effects


class Fuse:
    def __init__(self) -> None:
        self.blown = True

    async def handle(self, connection: Connection, received: IncomingMessage) -> None:
        if self.blown:
            raise Unreadable("blown")
        await record_effect(connection, "trial", received)


@pytest.fixture
async def fuse(application_url: str, database: Database, tmp_path: Path) -> AsyncIterator[Fuse]:
    """A system with one consumer whose fuse is blown, and two messages that died of it."""
    fuse = Fuse()
    settings = Settings(database_url=SecretStr(application_url), switchyard_home=tmp_path)
    # The system's log lines would mix with what the command prints in the same process.
    with capture_logs():
        async with _serving(settings, tmp_path) as system:
            consumer = Consumer("trial", (Topic.EVENTS,), fuse.handle)
            async with system.messaging.consuming(consumer):
                await publish(database, [message("pay_1", 1), message("pay_2", 1)])
                await until(lambda: _two_are_dead(database))
                yield fuse


@asynccontextmanager
async def _serving(settings: Settings, home: Path) -> AsyncIterator[System]:
    async with open_system(settings, ["messaging"]) as system:
        server = GrpcServer(system.registry)
        port = await server.start("127.0.0.1:0")
        RunFile(1, f"127.0.0.1:{port}", system.token, system.database_url).write(home)
        yield system
        await server.stop(0)


async def _two_are_dead(database: Database) -> bool:
    return await count(database, "select count(*) from messaging.dead_letters") == 2


async def _run(home: Path, *arguments: str) -> Result:
    # In a thread, since the command runs an event loop of its own.
    command = [*arguments, "--home", str(home)]
    return await asyncio.to_thread(CliRunner().invoke, main, ["dlq", *command])


@pytest.mark.usefixtures("fuse")
async def test_dead_letters_are_listed_and_shown(tmp_path: Path) -> None:
    listed = await _run(tmp_path, "list")
    assert listed.exit_code == 0
    assert listed.output.count("dlq_") == 2
    letters = json.loads((await _run(tmp_path, "list", "--output", "json")).output)["dead_letters"]
    assert {letter["key"] for letter in letters} == {"pay_1", "pay_2"}
    assert letters[0]["attempt_count"] == 1
    shown = (await _run(tmp_path, "show", letters[0]["id"])).output
    assert "Unreadable: blown" in shown
    assert "payload, 7 bytes: b'payload'" in shown
    assert "traceparent  00-aaaa" in shown
    as_json = json.loads(
        (await _run(tmp_path, "show", letters[0]["id"], "--output", "json")).output
    )
    assert as_json["message_id"] == letters[0]["message_id"]


async def test_one_letter_is_replayed_then_all_that_are_left(
    fuse: Fuse, database: Database, tmp_path: Path
) -> None:
    fuse.blown = False
    letters = json.loads((await _run(tmp_path, "list", "--output", "json")).output)["dead_letters"]
    one = await _run(tmp_path, "replay", letters[0]["id"])
    assert one.output.startswith("1 dead letters")
    await until_effects(database, 1)
    rest = await _run(tmp_path, "replay", "--all", "--consumer", "trial", "--output", "json")
    assert json.loads(rest.output) == {"replayed_count": 1}
    await until_effects(database, 2)
    assert "dlq_" not in (await _run(tmp_path, "list")).output
    assert (await _run(tmp_path, "list", "--state", "replayed")).output.count("dlq_") == 2


@pytest.mark.usefixtures("fuse")
async def test_what_makes_no_sense_is_refused_in_one_line(tmp_path: Path) -> None:
    for arguments, code, complaint in (
        (["replay"], 2, "name dead letters, or say --all"),
        (["replay", "dlq_1", "--all"], 2, "name dead letters, or say --all"),
        (["replay", "dlq_1", "--consumer", "trial"], 2, "--consumer goes with --all"),
        (["show", "dlq_1"], 1, "not the id of a dead letter"),
    ):
        refused = await _run(tmp_path, *arguments)
        assert refused.exit_code == code
        assert complaint in refused.output
