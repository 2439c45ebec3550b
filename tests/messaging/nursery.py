"""Real processes to be killed: relays and workers, each forked from a nursery that is warm.

A fresh interpreter takes a second to import what a relay needs; a fork of one that has imported it
takes milliseconds, so that two hundred kills are spent on the work and not on starting up.
"""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.runtime.database import Database
from services.runtime.messaging.broker import BrokerBus
from services.runtime.messaging.bus import Bus
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.kafka import KafkaBroker, KafkaSettings
from services.runtime.messaging.message import Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.relay import Relay
from services.runtime.messaging.worker import Worker
from tests.messaging.system import recording_or_dying

_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).parents[2]


class Nursery:
    """Starts roles as processes: `relay` relays, `worker` takes in and handles."""

    def __init__(self, application_url: str, bootstrap: str | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.messaging.nursery", application_url, bootstrap or ""],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'gen'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._alive: set[int] = set()

    def start(self, role: str) -> int:
        """Fork a process for the role; answers its id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"role": role}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self._alive.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """End it as kill -9 does."""
        self._alive.remove(pid)
        os.kill(pid, signal.SIGKILL)

    def is_alive(self, pid: int) -> bool:
        return Path(f"/proc/{pid}").exists()

    def close(self) -> None:
        for pid in [pid for pid in self._alive if self.is_alive(pid)]:
            self.kill(pid)
            while self.is_alive(pid):
                time.sleep(0.005)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


async def _play(role: str, application_url: str, bootstrap: str) -> None:
    database = await Database.connect(application_url, application_name=role, pool_size=2)
    metrics = MessagingMetrics(CollectorRegistry())
    bus: Bus = PostgresBus(database)
    if bootstrap:
        broker = KafkaBroker(KafkaSettings(bootstrap))
        bus = BrokerBus(database, broker, metrics=metrics)
    if role == "relay":
        Relay(database, bus, metrics=metrics).start()
    else:
        consumer = Consumer("trial", (Topic.EVENTS,), recording_or_dying("trial"))
        await bus.open([consumer])
        Worker(database, consumer, metrics=metrics).start()
    await asyncio.Event().wait()


def _main(application_url: str, bootstrap: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Nobody outlives the nursery, and the nursery's answers are its own.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            asyncio.run(_play(order["role"], application_url, bootstrap))
        print(pid, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
