"""A merchant's policy as it is read of its configuration, and for how long it is believed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payments.config.v1.merchant_config_pb2 import MerchantConfig
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, GetConfigResponse

from services.kernel.clock import ManualClock, SystemClock
from services.kernel.context import PaymentMethod
from services.kernel.errors import DeadlineExceeded, Unavailable
from services.orchestrator.clients import Configs
from services.orchestrator.domain.policy import (
    FIVE_AN_HOUR,
    AmountLimit,
    AttemptLimit,
    Policy,
    VelocityLimit,
    VelocityScope,
)
from services.orchestrator.workers import policy_watch
from tests.merchant_config.conftest import running_configs
from tests.merchant_config.settings import MERCHANT, put, sound
from tests.plan_builder.orders import money


async def _watching(configs: Configs) -> None:
    async with asyncio.timeout(30):
        while not configs.is_watching:  # noqa: ASYNC110 -- the stream tells nobody else
            await asyncio.sleep(0.01)


async def _after(configs: Configs, version: int) -> Policy:
    """The policy once it is another version's."""
    async with asyncio.timeout(30):
        while True:
            policy = await configs.policy(MERCHANT)
            if policy.config_version != version:
                return policy
            await asyncio.sleep(0.01)


async def test_a_policy_is_what_the_newest_configuration_says(application_url: str) -> None:
    settings = sound(
        allowed_methods=["PAYMENT_METHOD_CARD"],
        amount_limits=[
            {
                "method": "PAYMENT_METHOD_CARD",
                "min_amount": {"amount_minor": 100, "currency": "USD"},
                "max_amount": {"amount_minor": 9_000, "currency": "USD"},
            },
            {"max_amount": {"amount_minor": 5_000, "currency": "EUR"}},
        ],
        velocity_limits=[
            {"scope": "VELOCITY_SCOPE_USER", "window": "86400s", "max_count": 20},
            {
                "scope": "VELOCITY_SCOPE_MERCHANT",
                "window": "1.5s",
                "max_amount": {"amount_minor": 7, "currency": "USD"},
            },
        ],
        attempt_limits={
            "per_user": {"max_attempts": 3, "window": "60s"},
            "per_api_key": {"max_attempts": 1_000, "window": "1s"},
        },
    )
    async with running_configs(application_url) as elsewhere:
        configs = Configs(elsewhere.stub, SystemClock())
        assert await configs.policy(MERCHANT) == Policy()
        async with policy_watch(configs):
            await _watching(configs)
            assert await configs.policy(MERCHANT) == Policy()
            await elsewhere.stub.PutConfig(put(settings))
            policy = await _after(configs, 0)
            await elsewhere.stub.PutConfig(
                put(sound(attempt_limits=None), expected_version=1, key="k2")
            )
            after = await _after(configs, 1)
    card = PaymentMethod.CARD
    assert policy == Policy(
        config_version=1,
        allowed_methods=frozenset({card}),
        amount_limits=(
            AmountLimit(card, money(100), money(9_000)),
            AmountLimit(None, None, money(5_000, "EUR")),
        ),
        velocity_limits=(
            VelocityLimit(VelocityScope.USER, timedelta(days=1), 20, None),
            VelocityLimit(VelocityScope.MERCHANT, timedelta(seconds=1.5), 0, money(7)),
        ),
        attempts_per_user=AttemptLimit(3, timedelta(minutes=1)),
        attempts_per_api_key=AttemptLimit(1_000, timedelta(seconds=1)),
    )
    assert after.attempts_per_user == FIVE_AN_HOUR
    assert after.attempts_per_api_key is None


class _Stub:
    """MerchantConfigService whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.newest = 1
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def GetConfig(  # noqa: N802 -- as the stub's
        self, request: GetConfigRequest, timeout: float
    ) -> GetConfigResponse:
        self.asked += 1
        version = self.newest
        await self.answers.wait()
        config = MerchantConfig(merchant_id=MERCHANT, version=version, settings=sound())
        return GetConfigResponse(config=config)


async def test_without_a_watch_a_policy_is_believed_for_half_a_second() -> None:
    clock = ManualClock(datetime(2026, 1, 2, tzinfo=UTC))
    stub = _Stub()
    configs = Configs(stub, clock)  # type: ignore[arg-type]  # as far as it is used
    assert (await configs.policy(MERCHANT)).config_version == 1
    stub.newest = 2
    clock.advance(timedelta(seconds=0.49))
    assert (await configs.policy(MERCHANT)).config_version == 1
    assert stub.asked == 1
    clock.advance(timedelta(seconds=0.02))
    assert (await configs.policy(MERCHANT)).config_version == 2


async def test_an_answer_that_the_watch_has_overtaken_is_not_kept() -> None:
    stub = _Stub()
    stub.answers.clear()
    configs = Configs(stub, SystemClock())  # type: ignore[arg-type]  # as far as it is used
    slow = asyncio.create_task(configs.policy(MERCHANT))
    await _asked(stub, 1)
    stub.newest = 2
    configs._hear(MERCHANT, 2)
    # Who asks from now on does not join in what was asked before.
    later = asyncio.create_task(configs.policy(MERCHANT))
    await _asked(stub, 2)
    stub.answers.set()
    assert [(await each).config_version for each in (slow, later)] == [1, 2]
    assert (await configs.policy(MERCHANT)).config_version == 2


async def test_five_hundred_first_payments_at_once_read_the_policy_once() -> None:
    stub = _Stub()
    configs = Configs(stub, SystemClock())  # type: ignore[arg-type]  # as far as it is used
    policies = await asyncio.gather(*(configs.policy(MERCHANT) for _ in range(500)))
    assert {policy.config_version for policy in policies} == {1}
    assert stub.asked == 1


async def _asked(stub: _Stub, times: int) -> None:
    async with asyncio.timeout(30):
        while stub.asked < times:  # noqa: ASYNC110 -- the stub tells nobody
            await asyncio.sleep(0)


class _TooSlow:
    async def GetConfig(  # noqa: N802 -- as the stub's
        self, request: GetConfigRequest, timeout: float
    ) -> GetConfigResponse:
        raise DeadlineExceeded(f"no answer within {timeout} s")


async def test_a_policy_that_is_not_read_in_time_leaves_nothing_in_doubt() -> None:
    configs = Configs(_TooSlow(), SystemClock())  # type: ignore[arg-type]  # as far as it is used
    with pytest.raises(Unavailable):
        await configs.policy(MERCHANT)
