"""Processes to be killed: each the whole platform, forked from one that has imported it already.

A fresh interpreter takes seconds to import what a process needs; a fork is up in a tenth of one. So
the kills are spent on the work and not on starting up. Orders come as lines of JSON on the standard
input; who was started, who is ready and who has ended is told as lines on the standard output.
"""

import asyncio
import ctypes
import json
import os
import random
import select
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

import uvloop

from services.runtime import crash_points
from services.runtime.database import Connection
from services.runtime.garbage import calm_garbage_collection
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.rpc import GrpcServer
from services.runtime.settings import Settings, load_settings
from services.runtime.telemetry import configure_logging
from services.system import open_system

NAMES: Final = (
    "ledger",
    "processor",
    "merchant_config",
    "plan_builder",
    "router",
    "orchestrator",
    "messaging",
    "webhooks",
)
_PR_SET_PDEATHSIG: Final = 1
_CHUNK_BYTES: Final = 65536

_NOTE: Final = """
insert into torture.heard (event_id, key, sequence, type) values ($1, $2, $3, $4)
"""


async def _note(connection: Connection, message: IncomingMessage) -> None:
    """The effect of a consumer that nothing but its inbox keeps from happening twice."""
    await connection.execute(_NOTE, message.id, message.key, message.sequence, message.type)


async def _live(settings: Settings) -> None:
    """Serve until killed."""
    witness = Consumer("torture.witness", (Topic.EVENTS,), _note)
    async with open_system(settings, NAMES) as system, system.messaging.consuming(witness):
        server = GrpcServer(system.registry)
        _tell({"ready": os.getpid(), "port": await server.start("127.0.0.1:0")})
        await asyncio.Event().wait()


def _be_born(order: Mapping[str, Any]) -> None:
    """Become a process of its own; it does not return."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Nobody outlives the one who forked it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    random.seed(order["seed"])
    try:
        crash_points.arm(order["crash_at"])
        calm_garbage_collection()
        uvloop.run(_live(load_settings()))
    finally:
        # What was forked must not go on as the one who forks.
        sys.stderr.flush()
        os._exit(1)


def _tell(words: Mapping[str, Any]) -> None:
    # One write, so that the lines of many processes do not mix.
    os.write(1, json.dumps(words).encode() + b"\n")


class Nursery:
    """Forks, kills and buries as ordered."""

    def __init__(self) -> None:
        self._alive: set[int] = set()

    def obey(self, order: Mapping[str, Any]) -> None:
        """One order: to kill who is named, or to fork another."""
        if "kill" in order:
            # Who has died meanwhile is nobody's to kill: the number may be another's by now.
            if order["kill"] in self._alive:
                os.kill(order["kill"], signal.SIGKILL)
            return
        pid = os.fork()
        if pid == 0:
            _be_born(order)
        self._alive.add(pid)
        _tell({"started": pid})

    def reap(self) -> None:
        """Tell who has ended, and how: by which signal, or with which exit code when negative."""
        while self._alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._alive.remove(pid)
            how = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
            _tell({"ended": pid, "signal": how})


def main() -> None:
    """Obey until nobody orders any more."""
    configure_logging("torture", level="error")
    nursery = Nursery()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    pending = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, _CHUNK_BYTES)
            nursery.reap()
        if 0 in ready:
            chunk = os.read(0, _CHUNK_BYTES)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                nursery.obey(json.loads(line))


if __name__ == "__main__":
    main()
