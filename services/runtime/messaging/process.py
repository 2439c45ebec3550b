"""Messaging of one process: its bus, and what of relay, consumers and housekeeping runs in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from services.kernel.clock import Clock
from services.runtime.database import Database
from services.runtime.messaging.broker import BrokerBus
from services.runtime.messaging.bus import Bus
from services.runtime.messaging.consumer import Consumer, RetryPolicy
from services.runtime.messaging.depths import DepthSampler
from services.runtime.messaging.kafka import KafkaBroker, KafkaSettings, read_client_file
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from services.runtime.messaging.relay import Relay
from services.runtime.messaging.retention import Retention
from services.runtime.messaging.worker import Worker
from services.runtime.periodic import Periodic
from services.runtime.settings import Settings
from services.runtime.telemetry import Telemetry, Tracing

_SAMPLE_INTERVAL: Final = timedelta(seconds=5)
_FORGET_INTERVAL: Final = timedelta(minutes=1)


class Messaging:
    """Made by the composition root, handed to whoever consumes."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        retry: RetryPolicy,
        metrics: MessagingMetrics,
        tracing: Tracing,
    ) -> None:
        self._database = database
        self._bus = bus
        self._retry = retry
        self._metrics = metrics
        self._tracing = tracing

    @asynccontextmanager
    async def consuming(self, consumer: Consumer) -> AsyncIterator[None]:
        """Fill the consumer's inbox and work it."""
        await self._bus.open([consumer])
        worker = Worker(
            self._database,
            consumer,
            retry=self._retry,
            metrics=self._metrics,
            tracing=self._tracing,
        )
        worker.start()
        try:
            yield
        finally:
            await worker.close()

    @asynccontextmanager
    async def relaying(self, clock: Clock) -> AsyncIterator[None]:
        """Relay this database's outbox, watch its depths, and forget what is history."""
        sampler = DepthSampler(self._database, self._metrics)
        retention = Retention(self._database, clock)
        relay = Relay(self._database, self._bus, metrics=self._metrics)
        async with (
            Periodic(sampler.sample, name="messaging.depths", interval=_SAMPLE_INTERVAL),
            Periodic(retention.forget_some, name="messaging.retention", interval=_FORGET_INTERVAL),
        ):
            relay.start()
            try:
                yield
            finally:
                await relay.close()


@asynccontextmanager
async def open_messaging(
    settings: Settings, database: Database, telemetry: Telemetry
) -> AsyncIterator[Messaging]:
    """Messaging over the bus that the settings name; it is closed after all that uses it."""
    metrics = MessagingMetrics(telemetry.registry)
    bus = _bus(settings, database, metrics)
    retry = RetryPolicy(
        tries=settings.consumer_tries,
        first_pause=timedelta(seconds=settings.consumer_first_pause_seconds),
    )
    try:
        yield Messaging(database, bus, retry=retry, metrics=metrics, tracing=telemetry.tracing)
    finally:
        await bus.close()


def _bus(settings: Settings, database: Database, metrics: MessagingMetrics) -> Bus:
    if settings.kafka_bootstrap_servers is None:
        return PostgresBus(database)
    kafka = KafkaSettings(
        settings.kafka_bootstrap_servers,
        security={} if (file := settings.kafka_client_file) is None else read_client_file(file),
        create_topics=settings.kafka_create_topics,
        replication_factor=settings.kafka_replication_factor,
    )
    return BrokerBus(database, KafkaBroker(kafka), metrics=metrics)
