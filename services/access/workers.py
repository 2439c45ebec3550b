"""What keeps the answers about callers true, and notes when keys were used.

The feed looks four times a second at what was written since it last looked; a notification from
the database makes it look at once. So a lost notification costs a quarter of a second, and while it
cannot look, nothing that was read before is believed for long.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Protocol

from services.access.store.credentials import changed_since, horizon_now
from services.kernel.clock import Clock
from services.kernel.errors import SwitchyardError
from services.kernel.ids import ApiKeyId, MerchantId
from services.runtime.background import Background, Bell
from services.runtime.database import DATABASE_ERRORS, Database
from services.runtime.periodic import Periodic

_CHANNEL: Final = "access_changes"
_INTERVAL_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 2.0
_USES_NOTED_EVERY: Final = timedelta(seconds=30)

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who answers from memory, and has to hear of changes."""

    def hear(self, changed: Set[ApiKeyId | MerchantId], looked_at_seconds: float) -> None: ...

    def forget_all(self) -> None: ...


class ChangeFeed(Background):
    """One connection that listens, for the memory of a process."""

    def __init__(self, database: Database, listener: Listener, clock: Clock) -> None:
        super().__init__("access change feed")
        self._database = database
        self._listener = listener
        self._clock = clock

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (*DATABASE_ERRORS, TimeoutError) as error:
                _log.warning("cannot listen for changes of keys, trying again: %s", error)
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def _listen(self) -> None:
        connection = await self._database.dedicated_connection(application_name="access feed")
        bell = Bell()
        try:
            await connection.add_listener(_CHANNEL, bell.ring)
            horizon = await horizon_now(connection)
            # What changed while nobody listened was not told.
            self._listener.forget_all()
            while True:
                looked_at_seconds = self._clock.monotonic()
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    changed, horizon = await changed_since(connection, horizon)
                self._listener.hear(changed, looked_at_seconds)
                await bell.wait(_INTERVAL_SECONDS)
        finally:
            connection.terminate()


class NotesUses(Protocol):
    """Who knows when keys were used, and can have it written down."""

    async def note_uses(self) -> None: ...


@asynccontextmanager
async def noting_uses(authenticator: NotesUses) -> AsyncIterator[None]:
    """Have the uses of keys written down now and then, and once more in the end."""

    async def work() -> bool:
        await authenticator.note_uses()
        return False

    async with Periodic(work, name="noting the uses of keys", interval=_USES_NOTED_EVERY):
        yield
    try:
        await authenticator.note_uses()
    except (*DATABASE_ERRORS, SwitchyardError) as error:
        _log.warning("when keys were last used could not be noted: %s", error)
