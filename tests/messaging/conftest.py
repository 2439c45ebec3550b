"""What the tests of messaging share: a database with a table of effects, and metrics to read."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from services.runtime.database import Database
from services.runtime.messaging.metrics import MessagingMetrics
from tests.messaging.system import make_trial_tables


@pytest.fixture
async def database(owner_url: str, application_url: str) -> AsyncIterator[Database]:
    await make_trial_tables(owner_url)
    database = await Database.connect(application_url, application_name="trial", pool_size=12)
    yield database
    await database.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> MessagingMetrics:
    return MessagingMetrics(registry)
