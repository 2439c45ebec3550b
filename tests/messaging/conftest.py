"""What the tests of messaging share: a database with a table of effects, metrics, and engines."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.runtime.database import Connection, Database
from services.runtime.messaging.bus import Bus
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.relay import Relay
from services.runtime.messaging.worker import Worker
from tests.conftest import DatabaseUrls
from tests.messaging.engines import (
    BROKERS,
    ENGINES,
    Engine,
    KafkaEngine,
    PostgresEngine,
    mock_engine,
    real_engine,
    start_broker,
)
from tests.messaging.system import make_trial_tables
from tools.kafka import Broker


@pytest.fixture
def database_urls(module_database_urls: DatabaseUrls) -> DatabaseUrls:
    """One database a module; it is emptied for each test, which is quicker than a new one."""
    return module_database_urls


@pytest.fixture
async def database(owner_url: str, application_url: str) -> AsyncIterator[Database]:
    await make_trial_tables(owner_url)
    database = await Database.connect(application_url, application_name="trial", pool_size=12)
    yield database
    await database.close()


@pytest.fixture
async def owner_connection(owner_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> MessagingMetrics:
    return MessagingMetrics(registry)


@pytest.fixture(scope="session")
def real_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    home: Path = tmp_path_factory.mktemp("kafka")
    broker = start_broker(home)
    yield broker
    broker.stop()
    shutil.rmtree(home)


def _engine(name: str, request: pytest.FixtureRequest) -> Engine:
    if name == "postgres":
        return PostgresEngine()
    if name == "kafka_mock":
        return mock_engine()
    return real_engine(request.getfixturevalue("real_broker"))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = _engine(request.param, request)
    yield engine
    engine.close()


@pytest.fixture(params=BROKERS)
def broker_engine(request: pytest.FixtureRequest) -> Iterator[KafkaEngine]:
    engine = _engine(request.param, request)
    assert isinstance(engine, KafkaEngine)
    yield engine
    engine.close()


class Running:
    """Starts buses, relays and workers, and closes them at the test's end."""

    def __init__(self, database: Database, metrics: MessagingMetrics) -> None:
        self._database = database
        self._metrics = metrics
        self._stack = AsyncExitStack()

    async def start(self, engine: Engine, *consumers: Consumer, relays: int = 1) -> None:
        await self.start_bus(engine.bus(self._database, self._metrics), *consumers, relays=relays)

    async def start_bus(self, bus: Bus, *consumers: Consumer, relays: int = 1) -> None:
        await bus.open(consumers)
        self._stack.push_async_callback(bus.close)
        for consumer in consumers:
            self.work(consumer)
        for _ in range(relays):
            relay = Relay(self._database, bus, metrics=self._metrics)
            relay.start()
            self._stack.push_async_callback(relay.close)

    def work(self, consumer: Consumer) -> Worker:
        worker = Worker(self._database, consumer, metrics=self._metrics)
        worker.start()
        self._stack.push_async_callback(worker.close)
        return worker

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def running(database: Database, metrics: MessagingMetrics) -> AsyncIterator[Running]:
    running = Running(database, metrics)
    yield running
    await running.close()
