"""The bus: what carries messages from the outbox to the inbox of each consumer that wants them.

Two engines stand behind this interface: PostgreSQL itself, and a broker. Whichever it is, a message
is carried at least once, in order per key, and the inbox makes that once.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from services.runtime.database import Connection
from services.runtime.messaging.consumer import Consumer


class Trouble(StrEnum):
    """Why a bus cannot be used, as far as an operator would do something else about it."""

    UNREACHABLE = "unreachable"
    CREDENTIALS = "credentials"
    TOPIC_MISSING = "topic_missing"


class BusTrouble(Exception):
    """The bus cannot be used now; nothing is lost, what waits goes on waiting."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class Bus(Protocol):
    """One engine."""

    async def open(self, consumers: Sequence[Consumer]) -> None:
        """Begin to fill the inboxes of these consumers, from the oldest message still kept.

        Returns without waiting for a broker that cannot be reached.
        """
        ...

    async def carry(self, connection: Connection, partitions: Sequence[int]) -> int:
        """Take the oldest messages of these partitions and mark those that have arrived.

        Called with no transaction open, on the connection that holds the partitions. Answers how
        many were marked; raises BusTrouble when the bus cannot be used.
        """
        ...

    async def close(self) -> None:
        """Stop filling inboxes and let go of whatever is held."""
        ...
