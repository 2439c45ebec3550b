"""The feed: tells whoever watches of each new version, whichever process has made it.

It looks at what was written since it last looked. A notification from the database makes it look at
once; without one it looks twice a second all the same, so that no lost notification matters. While
it cannot look, it lets its subscribers go, so that none takes silence for no news.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.kernel.errors import Unavailable
from services.kernel.ids import MerchantId
from services.merchant_config.domain.settings import MerchantConfig
from services.merchant_config.store import horizon_now, written_since
from services.runtime.background import Background, Bell
from services.runtime.database import DATABASE_ERRORS, Connection, Database

_CHANNEL: Final = "config_versions"
_INTERVAL_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 2.0
# A watcher that is so far behind has stopped reading.
_AHEAD_MAX: Final = 1_000

_log = logging.getLogger(__name__)


class VersionFeed(Background):
    """One connection that listens, for all the watchers of a process."""

    def __init__(self, database: Database) -> None:
        super().__init__("config version feed")
        self._database = database
        self._watchers: set[asyncio.Queue[MerchantConfig | None]] = set()
        self._told: dict[MerchantId, int] = {}
        self._is_listening = asyncio.Event()

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        self._dismiss()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[AsyncIterator[MerchantConfig]]:
        """Hear of what is written from here on; who is let go asks anew."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._is_listening.wait()
        except TimeoutError:
            raise Unavailable("the database cannot be listened to") from None
        queue: asyncio.Queue[MerchantConfig | None] = asyncio.Queue(_AHEAD_MAX + 1)
        self._watchers.add(queue)
        try:
            yield _each(queue)
        finally:
            self._watchers.discard(queue)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (*DATABASE_ERRORS, TimeoutError) as error:
                self._is_listening.clear()
                self._dismiss()
                _log.warning("cannot listen for new configurations, trying again: %s", error)
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def _listen(self) -> None:
        connection = await self._database.dedicated_connection(application_name="config feed")
        bell = Bell()
        try:
            await connection.add_listener(_CHANNEL, bell.ring)
            horizon = await horizon_now(connection)
            self._is_listening.set()
            while True:
                await bell.wait(_INTERVAL_SECONDS)
                horizon = await self._look(connection, horizon)
        finally:
            connection.terminate()

    async def _look(self, connection: Connection, horizon: str) -> str:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            written, beyond = await written_since(connection, horizon)
        for config in written:
            if config.version > self._told.get(config.merchant_id, 0):
                self._tell(config)
        # What was seen now can come once more and never again, so nothing older is remembered.
        self._told = {config.merchant_id: config.version for config in written}
        return beyond

    def _tell(self, config: MerchantConfig) -> None:
        for queue in list(self._watchers):
            if queue.qsize() < _AHEAD_MAX:
                queue.put_nowait(config)
            else:
                self._let_go(queue)

    def _dismiss(self) -> None:
        for queue in list(self._watchers):
            self._let_go(queue)

    def _let_go(self, queue: asyncio.Queue[MerchantConfig | None]) -> None:
        self._watchers.discard(queue)
        queue.put_nowait(None)


async def _each(queue: asyncio.Queue[MerchantConfig | None]) -> AsyncIterator[MerchantConfig]:
    while (config := await queue.get()) is not None:
        yield config
    raise Unavailable("new configurations cannot be told for now; watch again")
