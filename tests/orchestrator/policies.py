"""A MerchantConfigService that tests set, and short ways to write down what merchants allow."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from payments.config.v1 import merchant_config_pb2 as pb
from payments.config.v1.merchant_config_service_pb2 import (
    GetConfigRequest,
    GetConfigResponse,
    WatchConfigsRequest,
    WatchConfigsResponse,
)
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceServicer

from services.kernel.errors import NotFound, Reason, Unavailable
from tests.orchestrator.orders import usd

HOUR = timedelta(hours=1)


class StandInConfigs(MerchantConfigServiceServicer):
    """One configuration for all merchants, at first none; who watches hears of each version."""

    def __init__(self) -> None:
        self.version = 0
        self.settings = pb.MerchantSettings()
        self.is_away = False
        self.read_count = 0
        self._changed = asyncio.Condition()
        self._merchant_ids: set[str] = set()

    async def put(self, settings: pb.MerchantSettings) -> None:
        """Make a new version."""
        async with self._changed:
            self.version += 1
            self.settings = settings
            self._changed.notify_all()

    async def GetConfig(  # noqa: N802 -- the contract's name
        self, request: GetConfigRequest, context: Any
    ) -> GetConfigResponse:
        self.read_count += 1
        self._merchant_ids.add(request.merchant_id)
        if self.is_away:
            raise Unavailable("configurations are away")
        if not self.version:
            raise NotFound("none yet", reason=Reason.CONFIG_VERSION_NOT_FOUND)
        config = pb.MerchantConfig(
            merchant_id=request.merchant_id, version=self.version, settings=self.settings
        )
        return GetConfigResponse(config=config)

    async def WatchConfigs(  # noqa: N802 -- the contract's name
        self, request: WatchConfigsRequest, context: Any
    ) -> AsyncIterator[WatchConfigsResponse]:
        await context.send_initial_metadata(())
        told = self.version
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.version > told)  # noqa: B023 -- awaited
                told = self.version
            for merchant_id in self._merchant_ids:
                yield WatchConfigsResponse(merchant_id=merchant_id, version=told)


def attempts(max_attempts: int, window: timedelta = HOUR) -> pb.AttemptLimit:
    return pb.AttemptLimit(max_attempts=max_attempts, window=_duration(window))


def velocity(
    scope: pb.VelocityScope.ValueType,
    *,
    max_count: int = 0,
    max_minor: int | None = None,
    window: timedelta = HOUR,
) -> pb.VelocityLimit:
    most = None if max_minor is None else usd(max_minor)
    return pb.VelocityLimit(
        scope=scope, window=_duration(window), max_count=max_count, max_amount=most
    )


def _duration(span: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(span)
    return duration
