"""The bus engines that the conformance suite runs on.

`make test` runs it on PostgreSQL and on librdkafka's mock cluster; `make test-kafka`, which sets
SWITCHYARD_TEST_KAFKA, on a real broker of its own.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka.admin import AdminClient

from services.runtime.database import Database
from services.runtime.messaging.broker import BrokerBus
from services.runtime.messaging.bus import Bus
from services.runtime.messaging.kafka import KafkaBroker, KafkaSettings
from services.runtime.messaging.kafka.topics import find_topics
from services.runtime.messaging.message import PARTITIONS, Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.postgres_bus import PostgresBus
from tests.messaging.mock_kafka import MockKafka
from tools.kafka import Broker, resolve_jars

ON_REAL_KAFKA = bool(os.environ.get("SWITCHYARD_TEST_KAFKA"))
LONG = bool(os.environ.get("SWITCHYARD_TEST_LONG"))

ENGINES = ["kafka"] if ON_REAL_KAFKA else ["postgres", "kafka_mock"]
BROKERS = [name for name in ENGINES if name != "postgres"]


class Engine(Protocol):
    """One engine, with whatever stands behind it."""

    name: str
    bootstrap: str | None

    def bus(self, database: Database, metrics: MessagingMetrics) -> Bus: ...

    def stop_broker(self) -> None: ...

    def start_broker(self) -> None: ...

    def close(self) -> None: ...


class PostgresEngine:
    name = "postgres"
    bootstrap: str | None = None

    def bus(self, database: Database, metrics: MessagingMetrics) -> Bus:
        return PostgresBus(database)

    def stop_broker(self) -> None:
        raise AssertionError("there is none")

    start_broker = stop_broker

    def close(self) -> None:
        """Nothing stands behind it."""


class KafkaEngine:
    """Kafka, real or mocked."""

    def __init__(
        self,
        name: str,
        bootstrap: str,
        *,
        make_topics: Callable[[], None],
        forget_topics: Callable[[], None],
        stop: Callable[[], None],
        start: Callable[[], None],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.bootstrap: str | None = bootstrap
        self.make_topics = make_topics
        self.forget_topics = forget_topics
        self.stop_broker = stop
        self.start_broker = start
        self.close = close

    def settings(self, **changes: Any) -> KafkaSettings:
        return KafkaSettings(**{"bootstrap_servers": self.bootstrap, **changes})

    def bus(self, database: Database, metrics: MessagingMetrics) -> Bus:
        return self.bus_with(self.settings(), database, metrics)

    def bus_with(
        self, settings: KafkaSettings, database: Database, metrics: MessagingMetrics
    ) -> Bus:
        return BrokerBus(database, KafkaBroker(settings), metrics=metrics)


def mock_engine() -> KafkaEngine:
    mock = MockKafka()

    def make() -> None:
        for topic in Topic:
            mock.create_topic(topic, PARTITIONS)

    def forget() -> None:
        for topic in Topic:
            mock.delete_topic(topic)

    make()
    return KafkaEngine(
        "kafka_mock",
        mock.bootstrap,
        make_topics=make,
        forget_topics=forget,
        stop=mock.stop_broker,
        start=mock.start_broker,
        close=mock.close,
    )


def real_engine(broker: Broker) -> KafkaEngine:
    forget_topics(broker.bootstrap)
    return KafkaEngine(
        "kafka",
        broker.bootstrap,
        make_topics=lambda: make_topics(broker.bootstrap),
        forget_topics=lambda: forget_topics(broker.bootstrap),
        stop=broker.stop,
        start=broker.start,
    )


def start_broker(home: Path) -> Broker:
    """A broker of the test run's own, on ports that are free."""
    resolve_jars()
    broker = Broker(home, _free_ports())
    broker.start()
    return broker


def make_topics(bootstrap: str) -> None:
    find_topics(KafkaSettings(bootstrap), [topic.value for topic in Topic])


def forget_topics(bootstrap: str) -> None:
    """Take the topics away, so that a test finds them as new as its database."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + 60
    while names := [name for name in admin.list_topics(timeout=30).topics if name in list(Topic)]:
        for outcome in admin.delete_topics(names).values():
            outcome.exception()
        assert time.monotonic() < deadline, "the topics stay"


def _free_ports() -> int:
    for port in range(21092, 29092, 10):
        try:
            for offset in range(3):
                socket.create_server(("127.0.0.1", port + offset)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no ports are free")
