"""The bus without a broker: from the outbox straight into the inboxes, in one commit."""

from collections.abc import Sequence
from typing import Final

from services.runtime.database import Connection, Database
from services.runtime.messaging.consumer import Consumer
from services.runtime.queries import load_queries

_QUERIES = load_queries(__package__)

_BATCH_PER_PARTITION: Final = 250


class PostgresBus:
    """Carries within the database that holds outbox and inbox.

    Who wants what is a table, for the relay may run in another process than the consumer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, consumers: Sequence[Consumer]) -> None:
        """Register the consumers; one that is new to a topic gets what is still kept of it."""
        for consumer in consumers:

            async def register(connection: Connection, consumer: Consumer = consumer) -> None:
                # Statement by statement: what follows must see what the relays have committed.
                await connection.execute(_QUERIES["exclude_relays"])
                fresh = await connection.fetch(
                    _QUERIES["subscribe"], consumer.name, list(consumer.topics)
                )
                if fresh:
                    topics = [row["topic"] for row in fresh]
                    await connection.execute(_QUERIES["deliver_history"], consumer.name, topics)

            await self._database.transaction(register)

    async def carry(self, connection: Connection, partitions: Sequence[int]) -> int:
        """Deliver and mark in one transaction: here, arrived and marked are the same moment."""
        async with connection.transaction():
            await connection.execute(_QUERIES["hold_subscriptions"])
            return int(
                await connection.fetchval(
                    _QUERIES["carry_to_inboxes"], partitions, _BATCH_PER_PARTITION
                )
            )

    async def close(self) -> None:
        """Nothing is held: a registered consumer's inbox is filled while it is away, too."""
