"""Fixtures of the gRPC tests: every conformance test runs against both kinds of channel."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
import structlog

from tests.runtime.rpc.house import House, Kind, open_house


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(params=["in-process", "network"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return cast("Kind", request.param)


@pytest.fixture
async def house(kind: Kind) -> AsyncIterator[House]:
    async with open_house(kind) as house:
        yield house
