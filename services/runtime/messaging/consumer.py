"""A consumer: a name, the topics it wants, and what it does with a message."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.runtime.database import Connection
from services.runtime.messaging.message import IncomingMessage, Topic

# The database ends a transaction in which nothing has happened for ten seconds.
_LONGEST_PATIENCE: Final = timedelta(seconds=8)

Handler = Callable[[Connection, IncomingMessage], Awaitable[None]]
"""Writes its effect through the connection it is given, in the transaction that marks the message
done. It neither commits nor rolls back. A remote effect must be idempotent by the message's id: it
is made again when the transaction does not commit."""


class Unreadable(Exception):
    """Raised by a handler for bytes that no later attempt will read better: buried at once."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a message is tried, and how long its key waits in between."""

    tries: int = 5
    first_pause: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first_pause <= timedelta(0) or self.factor < 1:
            raise ValueError("a retry policy has a try, a pause, and does not hurry")
        if not 0 <= self.jitter < 1:
            raise ValueError("jitter is a share of the pause, below 1")

    def pause_seconds(self, failed_attempts: int) -> float:
        """How long to wait after this many failures, give or take the jitter."""
        pause = self.first_pause.total_seconds() * self.factor ** (failed_attempts - 1)
        return pause * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 -- jitter


@dataclass(frozen=True, slots=True)
class Consumer:
    """What a worker runs: every message of the topics, once, in order per key."""

    name: str
    topics: tuple[Topic, ...]
    handler: Handler
    retry: RetryPolicy | None = None
    """How it is tried again, where that is not as the settings say."""
    batch_size: int = 50
    """Messages that share a commit; 1 for a handler with a remote effect."""
    lanes: int = 1
    """Connections that work side by side, each on partitions of its own."""
    abreast: int = 1
    """Keys whose messages a lane handles side by side; above 1, the handler sees to it that the
    connection is used for one thing at a time."""
    patience: timedelta = _LONGEST_PATIENCE
    """How long a handler may take; an attempt that takes longer has failed."""

    def __post_init__(self) -> None:
        if not self.name or not self.topics:
            raise ValueError("a consumer has a name and at least one topic")
        if not timedelta(0) < self.patience <= _LONGEST_PATIENCE:
            raise ValueError(f"a consumer's patience is above zero and at most {_LONGEST_PATIENCE}")
        if min(self.batch_size, self.lanes, self.abreast) < 1:
            raise ValueError("a consumer takes at least one message, on at least one lane")
