"""AccessService over gRPC: translate, call the use case, translate back."""

from typing import Any

import grpc
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.access_service_pb2_grpc import AccessServiceServicer

from services.access import translate
from services.access.service.authentication import Authenticator
from services.access.service.keys import Keys
from services.access.service.merchants import Merchants
from services.kernel.ids import ApiKeyId, MerchantId
from services.kernel.paging import decode_page_token, encode_page_token, page_size
from services.runtime.wire.moments import duration

Context = grpc.aio.ServicerContext[Any, Any]


class AccessServicer(AccessServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, merchants: Merchants, keys: Keys, authenticator: Authenticator) -> None:
        self._merchants = merchants
        self._keys = keys
        self._authenticator = authenticator

    async def CreateMerchant(
        self, request: pb.CreateMerchantRequest, context: Context
    ) -> pb.CreateMerchantResponse:
        done = await self._merchants.create(*translate.merchant_draft(request))
        return pb.CreateMerchantResponse(
            merchant=translate.merchant_message(done.outcome), replayed=done.replayed
        )

    async def UpdateMerchant(
        self, request: pb.UpdateMerchantRequest, context: Context
    ) -> pb.UpdateMerchantResponse:
        done = await self._merchants.change(*translate.merchant_change(request))
        self._authenticator.forget({done.outcome.id})
        return pb.UpdateMerchantResponse(
            merchant=translate.merchant_message(done.outcome), replayed=done.replayed
        )

    async def GetMerchant(
        self, request: pb.GetMerchantRequest, context: Context
    ) -> pb.GetMerchantResponse:
        found = await self._merchants.get(MerchantId.parse(request.merchant_id))
        return pb.GetMerchantResponse(merchant=translate.merchant_message(found))

    async def ListMerchants(
        self, request: pb.ListMerchantsRequest, context: Context
    ) -> pb.ListMerchantsResponse:
        filters = f"ListMerchants {request.state}"
        cursor = decode_page_token(request.page_token, filters, length=1)
        page, last = await self._merchants.list_merchants(
            translate.merchant_state(request.state),
            None if cursor is None else MerchantId.parse(cursor[0]),
            page_size(request.page_size),
        )
        return pb.ListMerchantsResponse(
            merchants=[translate.merchant_message(merchant) for merchant in page],
            next_page_token="" if last is None else encode_page_token(filters, (last,)),
        )

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        shown = await self._keys.create(*translate.key_draft(request))
        return pb.CreateApiKeyResponse(
            api_key=translate.key_message(shown.key, self._keys.now()),
            secret_value=shown.secret,
            replayed=shown.replayed,
        )

    async def RotateApiKey(
        self, request: pb.RotateApiKeyRequest, context: Context
    ) -> pb.RotateApiKeyResponse:
        shown = await self._keys.rotate(*translate.rotation(request))
        assert shown.replaced is not None
        self._authenticator.forget({shown.replaced.id})
        now = self._keys.now()
        return pb.RotateApiKeyResponse(
            api_key=translate.key_message(shown.key, now),
            secret_value=shown.secret,
            replaced=translate.key_message(shown.replaced, now),
            replayed=shown.replayed,
        )

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        done = await self._keys.revoke(*translate.revocation(request))
        self._authenticator.forget({done.outcome.id})
        return pb.RevokeApiKeyResponse(
            api_key=translate.key_message(done.outcome, self._keys.now()), replayed=done.replayed
        )

    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        filters = f"ListApiKeys {request.merchant_id} {request.state}"
        cursor = decode_page_token(request.page_token, filters, length=1)
        page, last = await self._keys.list_keys(
            translate.owner(request.merchant_id),
            translate.key_state(request.state),
            None if cursor is None else ApiKeyId.parse(cursor[0]),
            page_size(request.page_size),
        )
        now = self._keys.now()
        return pb.ListApiKeysResponse(
            api_keys=[translate.key_message(key, now) for key in page],
            next_page_token="" if last is None else encode_page_token(filters, (last,)),
        )

    async def Authenticate(
        self, request: pb.AuthenticateRequest, context: Context
    ) -> pb.AuthenticateResponse:
        credential, cache_for = await self._authenticator.authenticate(request.secret_value)
        return pb.AuthenticateResponse(
            principal=translate.principal_message(credential),
            cache_for=duration(cache_for),
        )
