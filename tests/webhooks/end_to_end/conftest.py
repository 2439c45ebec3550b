"""The platform that the tests of a module share; each has a shop of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import DatabaseUrls, short_folder
from tests.gateway.http.stage import Shop
from tests.webhooks.end_to_end.platform import Platform, open_platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(module_database_urls: DatabaseUrls) -> AsyncIterator[Platform]:
    with short_folder() as folder:
        async with open_platform(module_database_urls, folder) as platform:
            yield platform


@pytest_asyncio.fixture(loop_scope="module")
async def shop(platform: Platform) -> AsyncIterator[Shop]:
    """A merchant; whatever went wrong at the processor goes right again in the end."""
    yield await platform.stage.merchant("stripe")
    await platform.outside.mischief()
    await platform.outside.relent()
