"""A gateway as merchants meet it: HTTP over a socket, every service and PostgreSQL behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import DatabaseUrls
from tests.gateway.http.stage import Stage, open_stage


@pytest.fixture(scope="module")
def stage_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stage")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_database_urls: DatabaseUrls, stage_home: Path) -> AsyncIterator[Stage]:
    """One for the tests of a module, whose merchants start with nothing."""
    async with open_stage(module_database_urls.application, stage_home) as stage:
        yield stage
