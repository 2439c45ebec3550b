"""A gateway as merchants meet it: HTTP over a socket, every service and PostgreSQL behind it."""

import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from services.runtime.telemetry import configure_logging
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


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Every log line of the process, debug lines included."""
    lines = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    configure_logging("test", level="debug", stream=lines)
    # The client of these tests logs whole addresses, and is no part of what is tried.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    yield lines
    structlog.reset_defaults()
    logging.getLogger("httpx").setLevel(logging.NOTSET)
    logging.getLogger().handlers[:] = handlers
