"""MerchantConfigService over gRPC: translate, call the use case, translate back."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from payments.config.v1 import merchant_config_service_pb2 as pb
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceServicer

from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.ids import MerchantId
from services.kernel.paging import page_size
from services.merchant_config.domain.diff import Change
from services.merchant_config.service import Announcements, MerchantConfigs
from services.merchant_config.translate import calls
from services.merchant_config.translate.reading import settings_from_message

AUTHOR_KEY: Final = "x-author"
"""The metadata in which a caller says for whom it calls: an API key's id, an operator's name."""

_UNNAMED: Final = "operator"

Context = grpc.aio.ServicerContext[Any, Any]


class MerchantConfigServicer(MerchantConfigServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, configs: MerchantConfigs, announcements: Announcements) -> None:
        self._configs = configs
        self._announcements = announcements

    async def GetConfig(
        self, request: pb.GetConfigRequest, context: Context
    ) -> pb.GetConfigResponse:
        merchant_id = MerchantId.parse(request.merchant_id)
        config = await self._configs.get(merchant_id, _version("version", request.version))
        return pb.GetConfigResponse(config=calls.config_message(config))

    async def PutConfig(
        self, request: pb.PutConfigRequest, context: Context
    ) -> pb.PutConfigResponse:
        proposal, unreadable = calls.proposal_from_message(request, _author(context))
        stored = await self._configs.put(proposal, unreadable)
        return pb.PutConfigResponse(
            config=calls.config_message(stored.config), replayed=stored.replayed
        )

    async def ListConfigVersions(
        self, request: pb.ListConfigVersionsRequest, context: Context
    ) -> pb.ListConfigVersionsResponse:
        versions, below = await self._configs.list_versions(
            MerchantId.parse(request.merchant_id),
            calls.below_version(request),
            page_size(request.page_size),
        )
        return pb.ListConfigVersionsResponse(
            versions=[calls.config_message(config) for config in versions],
            next_page_token=calls.versions_token(request, below),
        )

    async def DiffConfigs(
        self, request: pb.DiffConfigsRequest, context: Context
    ) -> pb.DiffConfigsResponse:
        changes = await self._changes(request)
        return pb.DiffConfigsResponse(changes=[calls.change_message(change) for change in changes])

    async def _changes(self, request: pb.DiffConfigsRequest) -> "list[Change]":
        merchant_id = MerchantId.parse(request.merchant_id)
        from_version = _version("from_version", request.from_version)
        if request.WhichOneof("target") == "proposal":
            settings, unreadable = settings_from_message(request.proposal)
            return list(
                await self._configs.diff_proposal(merchant_id, from_version, settings, unreadable)
            )
        to_version = _version("to_version", request.to_version)
        return list(await self._configs.diff(merchant_id, from_version, to_version))

    async def WatchConfigs(
        self, request: pb.WatchConfigsRequest, context: Context
    ) -> AsyncIterator[pb.WatchConfigsResponse]:
        wanted = {MerchantId.parse(merchant_id) for merchant_id in request.merchant_ids}
        async with self._announcements.watching() as announced:
            # Told at once, so that the caller knows from when on it misses nothing.
            await context.send_initial_metadata(())
            async for config in announced:
                if not wanted or config.merchant_id in wanted:
                    yield calls.announcement_message(config)


def _version(field: str, version: int) -> int:
    if version < 0:
        message = "must be zero or more"
        raise InvalidArgument(
            f"{field} {message}", violations=[FieldViolation(field, "version.range", message)]
        )
    return version


def _author(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == AUTHOR_KEY and isinstance(value, str) and value:
            return value
    return _UNNAMED
