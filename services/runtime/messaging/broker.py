"""The bus with a broker in between: the outbox is sent to it, and the inboxes are copied from it.

What a broker can do is a small port; what makes it safe is here and the same for each. Sending:
only what the broker has acknowledged is marked. Taking in: each partition is copied by whoever
holds its lock, and the position reached is committed with the rows it brought, so that a copy
begins where the last one ended, whatever happened to the process in between.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from services.kernel.crash_points import CrashPoint
from services.runtime.crash_points import reach
from services.runtime.database import Connection, Database
from services.runtime.messaging.bus import BusTrouble
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.intake import Intake
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.wire import Reader, WireMessage, to_wire
from services.runtime.queries import load_queries

_QUERIES = load_queries(__package__)

_log = structlog.get_logger(__name__)

_BATCH_PER_PARTITION = 250


@dataclass(slots=True)
class Delivery:
    """What became of the messages that were sent; those not named are still to be sent."""

    delivered: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """By message id, why the broker will not take it as it is."""
    trouble: BusTrouble | None = None


class Broker(Protocol):
    """What a broker offers."""

    async def send(self, messages: Sequence[WireMessage]) -> Delivery:
        """Send in order and wait for the acknowledgements.

        Behind a message that is refused, those of its key are not sent.
        """
        ...

    def reader(self, consumer: str, topics: Sequence[str]) -> Reader:
        """What reads the topics for one consumer."""
        ...

    async def close(self) -> None:
        """Abandon what is being sent and disconnect."""
        ...


class BrokerBus:
    """Carries through a broker."""

    def __init__(self, database: Database, broker: Broker, *, metrics: MessagingMetrics) -> None:
        self._database = database
        self._broker = broker
        self._metrics = metrics
        self._intakes: list[Intake] = []

    async def open(self, consumers: Sequence[Consumer]) -> None:
        """Begin to copy the consumers' topics into their inboxes."""
        for consumer in consumers:
            reader = self._broker.reader(consumer.name, consumer.topics)
            intake = Intake(self._database, consumer.name, reader, metrics=self._metrics)
            intake.start()
            self._intakes.append(intake)

    async def carry(self, connection: Connection, partitions: Sequence[int]) -> int:
        """Send a batch, mark what was acknowledged and park what was refused."""
        rows = await connection.fetch(_QUERIES["pick_messages"], partitions, _BATCH_PER_PARTITION)
        if not rows:
            return 0
        delivery = await self._broker.send([to_wire(row) for row in rows])
        if delivery.delivered:
            reach(CrashPoint.PUBLISHED_NOT_MARKED)
            await connection.execute(_QUERIES["mark_relayed"], delivery.delivered)
        if delivery.refused:
            await self._park(connection, delivery.refused)
        if delivery.trouble is not None:
            self._metrics.relayed(len(delivery.delivered))
            raise delivery.trouble
        return len(delivery.delivered)

    async def close(self) -> None:
        """Stop copying and let the broker go."""
        await asyncio.gather(*(intake.close() for intake in self._intakes))
        await self._broker.close()

    async def _park(self, connection: Connection, refused: Mapping[str, str]) -> None:
        self._metrics.refused(len(refused))
        for event_id, problem in refused.items():
            _log.error(
                "the broker refuses a message; its key waits", event_id=event_id, problem=problem
            )
        await connection.execute(
            _QUERIES["park_refused"], list(refused.keys()), list(refused.values())
        )
