"""The home of a system: a folder that can be written to, in which `up` runs once at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.runtime.embedded_postgres.lock import ProcessLock
from services.runtime.startup import StartupError

_LOCK: Final = "up.lock"


def make_home(home: Path) -> None:
    """Make the folder if it is not there, and know that something can be kept in it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(home, error.strerror or str(error)) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise _unusable(home, "it may not be written to")


@contextmanager
def occupied(home: Path) -> Iterator[None]:
    """Keep any other `up` out of the home, whose sandbox and run.json are of one system alone."""
    lock = ProcessLock(home / _LOCK)
    if not lock.try_acquire():
        raise StartupError(
            f"payment-cli up runs in {home} already: call that one"
            f" (payment-cli env --home {home}), stop it, or choose another --home"
        )
    try:
        yield
    finally:
        lock.release()


def _unusable(home: Path, why: str) -> StartupError:
    return StartupError(f"{home} cannot be the home: {why}; choose another with --home")
