"""Merchant configurations on a database of the test's own, behind the door of production."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from payments.config.v1.merchant_config_service_pb2_grpc import (
    MerchantConfigServiceStub,
    add_MerchantConfigServiceServicer_to_server,
)
from payments.processor.v1.processor_service_pb2_grpc import (
    ProcessorServiceStub,
    add_ProcessorServiceServicer_to_server,
)

from services.merchant_config.clients import ProcessorDirectory
from services.merchant_config.rpc import MerchantConfigServicer
from services.merchant_config.service import MerchantConfigs
from services.merchant_config.store import Versions
from services.merchant_config.translate.writing import SettingsJson
from services.merchant_config.workers import VersionFeed
from services.runtime.database import Database
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.stand_in_processors import APPLE_PAY, CARD, StandInProcessors, processor


@dataclass(frozen=True)
class ConfigsUnderTest:
    """One process that keeps configurations."""

    database: Database
    stub: MerchantConfigServiceStub
    processors: StandInProcessors

    async def count_versions(self) -> int:
        async with self.database.connection() as connection:
            return int(await connection.fetchval("select count(*) from config.versions"))


def stand_in_processors() -> StandInProcessors:
    """The processors that configurations may name."""
    return StandInProcessors(  # type: ignore[abstract]  # it normalizes and lists no events
        processor("stripe"),
        processor("stripe_eu", currencies=["EUR"]),
        processor("cards_only", methods=[CARD]),
        processor("wallet_only", methods=[APPLE_PAY]),
    )


@asynccontextmanager
async def serving_configs(
    application_url: str, registry: Registry, processors: StandInProcessors
) -> AsyncIterator[Database]:
    """Have the registry serve configurations, and the processors that they may name."""
    database = await Database.connect(application_url, application_name="configs under test")
    async with connect_in_process(registry) as channel, VersionFeed(database) as feed:
        registry.register(add_ProcessorServiceServicer_to_server, processors)
        text = SettingsJson()
        directory = ProcessorDirectory(ProcessorServiceStub(channel))
        configs = MerchantConfigs(Versions(database, text), directory, text)
        registry.register(
            add_MerchantConfigServiceServicer_to_server, MerchantConfigServicer(configs, feed)
        )
        yield database
    await database.close()


@asynccontextmanager
async def running_configs(application_url: str) -> AsyncIterator[ConfigsUnderTest]:
    registry = Registry(Middleware(Telemetry.create("test")))
    processors = stand_in_processors()
    async with (
        serving_configs(application_url, registry, processors) as database,
        connect_in_process(registry) as channel,
    ):
        yield ConfigsUnderTest(database, MerchantConfigServiceStub(channel), processors)


@pytest.fixture
async def configs(application_url: str) -> AsyncIterator[ConfigsUnderTest]:
    async with running_configs(application_url) as configs:
        yield configs
