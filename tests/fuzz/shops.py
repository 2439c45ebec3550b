"""The shops that are there before anything hostile comes."""

import uuid
from typing import Any

import httpx
from grpc.aio import Channel
from payments.access.v1 import access_service_pb2 as access_pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_MERCHANT
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub

from tests.fuzz.world import World
from tests.running_platform import Platform, channel_to, let_try, order


async def settle(there: Platform) -> World:
    """Make what requests are to name."""
    run = there.run
    assert run.merchant is not None
    assert run.other_merchant is not None
    assert run.admin is not None
    assert run.http_url is not None
    async with channel_to(run) as channel:
        access = AccessServiceStub(channel)
        for merchant_id in (run.merchant["id"], run.other_merchant["id"]):
            await let_try(channel, merchant_id)
        internal_id = await _merchant(access)
        await _configure_internal(channel, internal_id, run.merchant["id"])
        victims = [await _key(access, internal_id) for _ in range(3)]
        internal_key = await _key(access, internal_id)
    async with httpx.AsyncClient(base_url=run.http_url, timeout=60) as http:
        key = run.merchant["api_key"]
        return World(
            http_address=run.http_url.removeprefix("http://"),
            grpc_address=run.grpc_address,
            grpc_token=run.grpc_token,
            api_key=key,
            merchant_id=run.merchant["id"],
            admin_key=run.admin["api_key"],
            webhook_secret=run.stripe_webhook_secret or "",
            held_id=await _pay(http, key, capture_method="manual"),
            captured_id=await _pay(http, key),
            others_payment_id=await _pay(http, run.other_merchant["api_key"]),
            internal_merchant_id=internal_id,
            internal_payment_ids=(
                await _pay(http, internal_key.secret_value, capture_method="manual"),
                await _pay(http, internal_key.secret_value),
            ),
            internal_key_ids=tuple(each.api_key.id for each in victims),
        )


async def _configure_internal(channel: Channel, merchant_id: str, like: str) -> None:
    """Configure a merchant who pays at the simulated processor alone."""
    stub = MerchantConfigServiceStub(channel)
    settings = (await stub.GetConfig(GetConfigRequest(merchant_id=like))).config.settings
    kept = [each for each in settings.processors if each.processor_id == "simulated"]
    del settings.processors[:]
    settings.processors.extend(kept)
    await stub.PutConfig(
        PutConfigRequest(
            idempotency_key=str(uuid.uuid4()),
            merchant_id=merchant_id,
            comment="fuzzing",
            settings=settings,
        )
    )


async def _merchant(access: AccessServiceStub) -> str:
    made = await access.CreateMerchant(
        access_pb.CreateMerchantRequest(idempotency_key=str(uuid.uuid4()), name="Internal")
    )
    return made.merchant.id


async def _key(access: AccessServiceStub, merchant_id: str) -> access_pb.CreateApiKeyResponse:
    return await access.CreateApiKey(
        access_pb.CreateApiKeyRequest(
            idempotency_key=str(uuid.uuid4()),
            merchant_id=merchant_id,
            name="fuzzing",
            role=ROLE_MERCHANT,
        )
    )


async def _pay(http: httpx.AsyncClient, api_key: str, **changed: Any) -> str:
    answer = await order(http, api_key, **changed)
    assert answer["status"] in ("captured", "authorized"), answer
    return str(answer["id"])
