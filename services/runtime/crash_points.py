"""Lets the process die at a named place, as it might at any time by itself.

Nothing here does anything unless the environment names places: `SWITCHYARD_CRASH_AT=name`,
`name:chance` or `name/operation:chance`, several with commas between them. The process then dies as
by kill -9, without a word, the first time it gets there and chance will have it.
"""

import os
import random
import signal
from typing import Final

from services.kernel.crash_points import CrashPoint

_armed: Final[dict[tuple[CrashPoint, str], float]] = {}


def arm(places: str) -> None:
    """Die at these places from here on, and at no others."""
    _armed.clear()
    for word in filter(None, places.split(",")):
        place, _, chance = word.partition(":")
        name, _, operation = place.partition("/")
        _armed[CrashPoint(name), operation] = float(chance or 1)


def reach(point: CrashPoint, operation: str = "") -> None:
    """Die here if a test wants that."""
    if not _armed:
        return
    chance = _armed.get((point, operation), _armed.get((point, ""), 0.0))
    if random.random() < chance:  # noqa: S311 -- no secret
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("SWITCHYARD_CRASH_AT", ""))
