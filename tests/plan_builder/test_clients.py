"""What the plan builder keeps at hand, and for how long it believes it."""

import asyncio
from datetime import UTC, datetime, timedelta

from payments.config.v1.merchant_config_pb2 import MerchantConfig
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, GetConfigResponse

from services.kernel.clock import ManualClock, SystemClock
from services.plan_builder.clients import Configs
from tests.merchant_config.settings import MERCHANT, sound


class _Stub:
    """MerchantConfigService where a version is made without anybody being told."""

    def __init__(self) -> None:
        self.newest = 1
        self.asked = 0

    async def GetConfig(  # noqa: N802 -- as the stub's
        self, request: GetConfigRequest, timeout: float
    ) -> GetConfigResponse:
        self.asked += 1
        await asyncio.sleep(0)
        version = request.version or self.newest
        return GetConfigResponse(
            config=MerchantConfig(merchant_id=MERCHANT, version=version, settings=sound())
        )


async def test_without_a_watch_the_newest_version_is_believed_for_half_a_second() -> None:
    clock = ManualClock(datetime(2026, 1, 2, tzinfo=UTC))
    stub = _Stub()
    configs = Configs(stub, clock)  # type: ignore[arg-type]  # as far as it is used
    assert (await configs.config(MERCHANT, 0)).version == 1
    stub.newest = 2
    clock.advance(timedelta(seconds=0.49))
    assert (await configs.config(MERCHANT, 0)).version == 1
    assert stub.asked == 1
    clock.advance(timedelta(seconds=0.02))
    assert (await configs.config(MERCHANT, 0)).version == 2


async def test_a_version_once_read_is_never_asked_for_again() -> None:
    clock = ManualClock(datetime(2026, 1, 2, tzinfo=UTC))
    stub = _Stub()
    configs = Configs(stub, clock)  # type: ignore[arg-type]  # as far as it is used
    first = await configs.config(MERCHANT, 1)
    clock.advance(timedelta(days=30))
    assert await configs.config(MERCHANT, 1) is first
    assert stub.asked == 1


async def test_five_hundred_first_plans_at_once_read_the_configuration_once() -> None:
    stub = _Stub()
    configs = Configs(stub, SystemClock())  # type: ignore[arg-type]  # as far as it is used
    found = await asyncio.gather(*(configs.config(MERCHANT, 0) for _ in range(500)))
    assert {config.version for config in found} == {1}
    assert stub.asked == 1
