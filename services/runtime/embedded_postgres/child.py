"""Runs PostgreSQL's programs as children that cannot outlive us, under the server's account."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from services.runtime.embedded_postgres.account import Account

_GUARD: Final = Path(__file__).with_name("guard.py")
_POLL_SECONDS: Final = 0.02
# PostgreSQL gets no secret of ours, and none of our PG* variables turns it into something else.
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def spawn(
    command: Sequence[str | Path], account: Account, *, death_signal: signal.Signals, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start the program; it gets `death_signal` when this process ends, however it ends."""
    # Linux ties the signal to the thread that forks; the main one lives as long as the process.
    assert threading.current_thread() is threading.main_thread()
    guard = (sys.executable, "-I", "-S", _GUARD, os.getpid(), account.uid, account.gid)
    return subprocess.Popen(  # noqa: S603 -- our own programs, and there is no shell
        [str(part) for part in (*guard, int(death_signal), *command)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        | {"LC_ALL": "C", "TZ": "UTC"},
        # Ctrl-C in a terminal goes to the whole group: the server must outlive our own draining.
        start_new_session=True,
    )


async def becomes_true(condition: Callable[[], bool], *, within_seconds: float) -> bool:
    """Whether the condition comes true in time; it is looked at often and must be cheap."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
