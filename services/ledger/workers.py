"""Sealing in the background: every block of what can no longer change, soon after it cannot."""

import logging
from datetime import timedelta
from typing import Final, Protocol

from services.ledger.domain.seal import Block
from services.runtime.periodic import Periodic

# Half of the minute after which a change is promised to be found.
_INTERVAL: Final = timedelta(seconds=30)

_log = logging.getLogger(__name__)


class SealsNext(Protocol):
    """Where the next block comes from."""

    async def seal_next(self) -> Block | None: ...


def sealer(seals: SealsNext, *, interval: timedelta = _INTERVAL) -> Periodic:
    """The worker that seals; any number of processes may run one."""

    async def seal() -> bool:
        block = await seals.seal_next()
        if block is None:
            return False
        # The log carries the hash out of the database, beyond the reach of who could rewrite it.
        _log.info(
            "sealed ledger block %d of %d transactions: %s",
            block.number,
            block.contents.transaction_count,
            block.hash.hex(),
        )
        return True

    return Periodic(seal, name="ledger sealer", interval=interval)
