"""The platform that the tests of a module share; each has a shop of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import DatabaseUrls, short_folder
from tests.webhooks.end_to_end.platform import Platform, open_platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(module_database_urls: DatabaseUrls) -> AsyncIterator[Platform]:
    with short_folder() as folder:
        async with open_platform(module_database_urls, folder) as platform:
            yield platform
