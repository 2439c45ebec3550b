"""The watch over configurations, without which a change is seen a little later."""

from datetime import timedelta
from typing import Final, Protocol

from services.runtime.periodic import Periodic

_INTERVAL: Final = timedelta(milliseconds=500)


class Watches(Protocol):
    """Who hears of new versions."""

    async def watch(self) -> bool: ...


def config_watch(configs: Watches) -> Periodic:
    """The worker that keeps the watch on, and takes it up again whenever it ends."""
    return Periodic(configs.watch, name="config watch", interval=_INTERVAL)
