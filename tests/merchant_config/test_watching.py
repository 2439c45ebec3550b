"""Whoever watches is told of every version within a second, whatever becomes of the feed."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import asyncpg
import pytest
from grpc.aio import UnaryStreamCall
from payments.config.v1.merchant_config_service_pb2 import (
    WatchConfigsRequest,
    WatchConfigsResponse,
)

from services.kernel.errors import Unavailable
from services.kernel.ids import MerchantId
from services.merchant_config.workers import VersionFeed
from services.runtime.database import Database
from services.runtime.rpc import typed_errors
from tests.merchant_config.conftest import ConfigsUnderTest, running_configs
from tests.merchant_config.settings import ADD_VERSION, MERCHANT, put


async def test_another_process_is_told_of_a_version_within_a_second(
    configs: ConfigsUnderTest, application_url: str
) -> None:
    async with running_configs(application_url) as elsewhere:
        watched = _watch(elsewhere)
        await watched.initial_metadata()
        written_at = time.monotonic()
        await configs.stub.PutConfig(put())
        told = await anext(aiter(watched))
        assert time.monotonic() - written_at < 1
        assert (told.merchant_id, told.version) == (MERCHANT, 1)
        watched.cancel()


async def test_a_version_is_told_even_where_its_notification_is_lost(
    configs: ConfigsUnderTest, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("alter table config.versions disable trigger announce")
    watched = _watch(configs)
    await watched.initial_metadata()
    await configs.stub.PutConfig(put())
    assert (await asyncio.wait_for(anext(aiter(watched)), 10)).version == 1
    watched.cancel()
    await owner.close()


async def test_a_version_that_commits_late_is_told(
    configs: ConfigsUnderTest, application_url: str
) -> None:
    late = await asyncpg.connect(application_url)
    block = late.transaction()
    await block.start()
    other = MerchantId.new()
    await late.execute(ADD_VERSION, other.hex, 1)
    watched = _watch(configs)
    await watched.initial_metadata()
    messages = aiter(watched)
    await configs.stub.PutConfig(put())
    assert (await anext(messages)).merchant_id == MERCHANT
    await block.commit()
    assert (await asyncio.wait_for(anext(messages), 10)).merchant_id == other
    watched.cancel()
    await late.close()


def _watch(
    configs: ConfigsUnderTest,
) -> UnaryStreamCall[WatchConfigsRequest, WatchConfigsResponse]:
    return configs.stub.WatchConfigs(WatchConfigsRequest(), timeout=60)


async def test_who_watches_while_the_database_goes_away_is_told_to_watch_again(
    configs: ConfigsUnderTest, owner_url: str
) -> None:
    watched = _watch(configs)
    await watched.initial_metadata()
    superuser = await asyncpg.connect(owner_url, user="postgres")
    await superuser.execute(
        """select pg_terminate_backend(pid) from pg_stat_activity
            where application_name = 'config feed' and datname = current_database()"""
    )
    with pytest.raises(Unavailable), typed_errors():
        await asyncio.wait_for(anext(aiter(watched)), 10)
    again = _watch(configs)
    await again.initial_metadata()
    await configs.stub.PutConfig(put())
    assert (await asyncio.wait_for(anext(aiter(again)), 10)).version == 1
    again.cancel()
    await superuser.close()


class _Overheard:
    """The database, whose feed can be woken at any moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self.wake: Callable[[], None] = lambda: None

    async def dedicated_connection(self, **options: Any) -> "_Overheard":
        self._connection = await self._database.dedicated_connection(**options)
        return self

    async def add_listener(self, channel: str, callback: Callable[[], None]) -> None:
        self.wake = callback
        await self._connection.add_listener(channel, callback)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def test_a_feed_that_is_woken_as_it_is_closed_ends(configs: ConfigsUnderTest) -> None:
    for turns in range(8):
        overheard = _Overheard(configs.database)
        feed = VersionFeed(cast("Database", overheard))
        await feed.__aenter__()
        async with feed.watching():
            await asyncio.sleep(0.02)
        overheard.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(feed.__aexit__())
        done, _ = await asyncio.wait({closing}, timeout=10)
        assert done, f"it goes on when it is closed {turns} turns of the loop after it was woken"
