"""The merchants and the operator that are there from the first start, and the keys they keep."""

import json
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from grpc.aio import Channel
from payments.access.v1 import access_service_pb2 as access
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_ADMIN, ROLE_MERCHANT
from payments.config.v1 import merchant_config_pb2 as config
from payments.config.v1.merchant_config_service_pb2 import GetConfigRequest, PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)
from payments.processor.v1.processor_service_pb2 import ListProcessorsRequest
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub

from services.kernel.errors import NotFound, Unauthenticated
from services.runtime.rpc import typed_errors

_FILE: Final = "tenants.json"
_NAMES: Final = ("Demo shop", "Other shop")


@dataclass(frozen=True)
class Tenants:
    """Who calls, with the key of each."""

    merchant: dict[str, str]
    other_merchant: dict[str, str]
    admin: dict[str, str]


async def settle_in(channel: Channel, home: Path) -> Tenants:
    """Find them, or make them the first time."""
    path = home / _FILE
    kept = json.loads(path.read_text()) if path.exists() else {}
    merchant, other = [
        await _merchant(channel, name, kept.get(place, {}))
        for name, place in zip(_NAMES, ("merchant", "other_merchant"), strict=True)
    ]
    admin = await _with_key(channel, "operator", "", kept.get("admin", {}))
    tenants = Tenants(merchant, other, admin)
    for each in (merchant, other):
        await _configure(channel, each["id"])
    _keep(path, tenants)
    return tenants


async def _merchant(channel: Channel, name: str, kept: dict[str, str]) -> dict[str, str]:
    made = await AccessServiceStub(channel).CreateMerchant(
        access.CreateMerchantRequest(idempotency_key=f"up: {name}", name=name)
    )
    return await _with_key(channel, name, made.merchant.id, kept)


async def _with_key(
    channel: Channel, name: str, merchant_id: str, kept: dict[str, str]
) -> dict[str, str]:
    """The key that was kept if it still opens the door, else a new one: none is shown twice."""
    stub, known = AccessServiceStub(channel), {"id": merchant_id} if merchant_id else {}
    if secret := kept.get("api_key"):
        try:
            with typed_errors():
                await stub.Authenticate(access.AuthenticateRequest(secret_value=secret))
        except Unauthenticated:
            pass  # It was revoked, or the database is another one.
        else:
            return {**known, "api_key": secret}
    made = await stub.CreateApiKey(
        access.CreateApiKeyRequest(
            idempotency_key=f"up: {uuid.uuid4()}",
            merchant_id=merchant_id,
            name=f"{name}, made by payment-cli up",
            role=ROLE_MERCHANT if merchant_id else ROLE_ADMIN,
        )
    )
    return {**known, "api_key": made.secret_value}


async def _configure(channel: Channel, merchant_id: str) -> None:
    """Every processor that there is, unless the merchant has said otherwise."""
    stub = MerchantConfigServiceStub(channel)
    try:
        with typed_errors():
            await stub.GetConfig(GetConfigRequest(merchant_id=merchant_id))
    except NotFound:
        listed = await ProcessorServiceStub(channel).ListProcessors(
            ListProcessorsRequest(page_size=100)
        )
        ids = [each.id for each in listed.processors]
        # What leaves the house comes first: the simulated one forgets when this process ends.
        ids.sort(key=lambda each: each == "simulated")
        await stub.PutConfig(_first_config(merchant_id, ids))


def _first_config(merchant_id: str, processor_ids: list[str]) -> PutConfigRequest:
    return PutConfigRequest(
        idempotency_key="up: first configuration",
        merchant_id=merchant_id,
        comment="made by payment-cli up",
        settings=config.MerchantSettings(
            default_currency="USD",
            fees=config.FeeSchedule(
                basis_points=290, fixed=[Money(amount_minor=30, currency="USD")]
            ),
            capture_method=CAPTURE_METHOD_AUTOMATIC,
            split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
            processors=[config.ProcessorPreference(processor_id=each) for each in processor_ids],
        ),
    )


def _keep(path: Path, tenants: Tenants) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(tenants), file, indent=2)
    draft.replace(path)
