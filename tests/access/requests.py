"""What the tests ask of AccessService; every request has an idempotency key of its own."""

import uuid

from google.protobuf.timestamp_pb2 import Timestamp
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import ROLE_ADMIN, ROLE_MERCHANT, Principal

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
