"""The merchants' configurations, and those who are told of new ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.config.v1.merchant_config_service_pb2_grpc import (
    add_MerchantConfigServiceServicer_to_server,
)
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.merchant_config.clients import ProcessorDirectory
from services.merchant_config.rpc import MerchantConfigServicer
from services.merchant_config.service import MerchantConfigs
from services.merchant_config.store import Versions
from services.merchant_config.translate.writing import SettingsJson
from services.merchant_config.workers import VersionFeed
from services.system.shared import System


@asynccontextmanager
async def open_merchant_config(system: System) -> AsyncIterator[None]:
    text = SettingsJson()
    directory = ProcessorDirectory(ProcessorServiceStub(await system.channel_to("processor")))
    configs = MerchantConfigs(Versions(system.database, text), directory, text)
    async with VersionFeed(system.database) as feed:
        system.registry.register(
            add_MerchantConfigServiceServicer_to_server, MerchantConfigServicer(configs, feed)
        )
        yield
