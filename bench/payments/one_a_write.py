"""The baseline of group commit: the same store, each write in a transaction of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from services.runtime.database import Connection, Database
from services.runtime.group_commit import Admission, BatchStore

CONNECTIONS: Final = 32


class _OneAWrite:
    """Stands where group commit does, and writes every unit at once by itself."""

    def __init__(
        self, pool: Database, _database: Database, store: BatchStore[Any, Any], **_sizes: object
    ) -> None:
        self._pool = pool
        self._store = store

    async def submit(self, unit: Any, _admission: Admission = Admission.INTENT) -> Any:
        async def work(connection: Connection) -> Sequence[Any]:
            # A store remembers things from its claims to its writes, of one transaction.
            store = copy(self._store)
            losers = await store.claim(connection, [unit])
            assert not losers, "nobody else changes a payment of this load"
            return await store.write(connection, [unit])

        (answer,) = await self._pool.transaction(work)
        return answer

    async def close(self) -> None:
        """The pool is closed by whoever opened it."""


@asynccontextmanager
async def one_transaction_a_write(url: str) -> AsyncIterator[None]:
    """Let the payments of this process be written so; the ledger and its poster stay as is."""
    pool = await Database.connect(url, application_name="bench", pool_size=CONNECTIONS)
    try:
        # The composition root offers no such thing, as nobody should want it.
        with patch("services.orchestrator.store.payments.GroupCommit", partial(_OneAWrite, pool)):
            yield
    finally:
        await pool.close()
