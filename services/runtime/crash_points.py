"""Lets the process die at a named place, as it might at any time by itself.

Nothing here does anything unless the environment names places: `SWITCHYARD_CRASH_AT=name` or
`name:chance`, several with commas between them. The process then dies as by kill -9, without a
word, the first time it gets there and chance will have it.
"""

import os
import random
import signal
from typing import Final

from services.kernel.crash_points import CrashPoint


def _armed() -> dict[str, float]:
    armed = {}
    for word in filter(None, os.environ.get("SWITCHYARD_CRASH_AT", "").split(",")):
        name, _, chance = word.partition(":")
        armed[CrashPoint(name)] = float(chance or 1)
    return armed


_ARMED: Final = _armed()


def reach(point: CrashPoint) -> None:
    """Die here if a test wants that."""
    chance = _ARMED.get(point) if _ARMED else None
    if chance is not None and random.random() < chance:  # noqa: S311 -- no secret
        os.kill(os.getpid(), signal.SIGKILL)
