"""What the tests ask of AccessService; every request has an idempotency key of its own."""

import asyncio
import uuid
from datetime import datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_ADMIN, ROLE_MERCHANT, Principal

from services.kernel.errors import Reason, Unauthenticated
from services.runtime.rpc import typed_errors


async def new_merchant(stub: AccessServiceStub, name: str = "Acme") -> str:
    request = pb.CreateMerchantRequest(idempotency_key=str(uuid.uuid4()), name=name)
    return (await stub.CreateMerchant(request)).merchant.id


def key_request(
    merchant_id: str,
    *,
    name: str = "shop",
    scopes: tuple[str, ...] = (),
    key: str = "",
    expires_at: Timestamp | None = None,
) -> pb.CreateApiKeyRequest:
    """A merchant's key, or without a merchant an operator's."""
    return pb.CreateApiKeyRequest(
        idempotency_key=key or str(uuid.uuid4()),
        merchant_id=merchant_id,
        name=name,
        role=ROLE_MERCHANT if merchant_id else ROLE_ADMIN,
        scopes=scopes,
        expires_at=expires_at,
    )


async def new_key(stub: AccessServiceStub, merchant_id: str) -> pb.CreateApiKeyResponse:
    return await stub.CreateApiKey(key_request(merchant_id))


async def revoke(stub: AccessServiceStub, key_id: str, merchant_id: str = "") -> None:
    request = pb.RevokeApiKeyRequest(
        idempotency_key=str(uuid.uuid4()), merchant_id=merchant_id, api_key_id=key_id
    )
    await stub.RevokeApiKey(request)


def rotate_request(key_id: str, *, merchant_id: str = "", key: str = "") -> pb.RotateApiKeyRequest:
    return pb.RotateApiKeyRequest(
        idempotency_key=key or str(uuid.uuid4()), merchant_id=merchant_id, api_key_id=key_id
    )


async def who(stub: AccessServiceStub, secret: str) -> Principal:
    """Who is it that shows this key; typed refusals."""
    with typed_errors():
        return (await stub.Authenticate(pb.AuthenticateRequest(secret_value=secret))).principal


async def refusal_of(stub: AccessServiceStub, secret: str) -> Unauthenticated:
    """What keeps this key from being taken."""
    with pytest.raises(Unauthenticated) as refusal:
        await who(stub, secret)
    assert refusal.value.reason is Reason.UNAUTHENTICATED
    return refusal.value


async def until_refused(stub: AccessServiceStub, secret: str) -> None:
    """Show a key over and over, until it is refused with an error."""
    async with asyncio.timeout(30):
        while True:
            await who(stub, secret)
            await asyncio.sleep(0.01)


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message
