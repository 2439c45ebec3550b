"""The database that tests of group commit write to."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.runtime.database import Database
from tests.runtime.trial_store import TABLES


@pytest.fixture
async def database(owner_url: str, application_url: str) -> AsyncIterator[Database]:
    """A database with the trial store's tables."""
    owner = await asyncpg.connect(owner_url)
    await owner.execute(TABLES)
    await owner.close()
    database = await Database.connect(application_url, application_name="trial")
    yield database
    await database.close()
