"""What MerchantConfigService is asked, and what it answers."""

import json
import re
from collections.abc import Sequence
from typing import Final

from google.protobuf.json_format import Parse
from google.protobuf.struct_pb2 import Value
from payments.config.v1 import merchant_config_pb2
from payments.config.v1 import merchant_config_service_pb2 as pb

from services.kernel.errors import FieldViolation
from services.kernel.ids import MerchantId
from services.kernel.paging import decode_page_token, encode_page_token, invalid_page_token
from services.merchant_config.domain.diff import Absent, Change, Json
from services.merchant_config.domain.settings import MerchantConfig
from services.merchant_config.domain.version import Proposal
from services.merchant_config.translate.reading import settings_from_message
from services.merchant_config.translate.writing import settings_message
from services.runtime.wire.moments import timestamp

_VERSION: Final = re.compile(r"\d{1,18}", re.ASCII)


def proposal_from_message(
    request: pb.PutConfigRequest, author: str
) -> tuple[Proposal, Sequence[FieldViolation]]:
    """The proposal, and the paths of what could not be read of its settings."""
    settings, unreadable = settings_from_message(request.settings)
    proposal = Proposal(
        idempotency_key=request.idempotency_key,
        merchant_id=MerchantId.parse(request.merchant_id),
        expected_version=request.expected_version,
        settings=settings,
        comment=request.comment,
        author=author,
    )
    return proposal, unreadable


def config_message(config: MerchantConfig) -> merchant_config_pb2.MerchantConfig:
    message = merchant_config_pb2.MerchantConfig(
        merchant_id=config.merchant_id,
        version=config.version,
        comment=config.comment,
        author=config.author,
        created_at=timestamp(config.created_at),
    )
    if config.settings is not None:
        message.settings.CopyFrom(settings_message(config.settings))
    return message


def announcement_message(config: MerchantConfig) -> pb.WatchConfigsResponse:
    return pb.WatchConfigsResponse(
        merchant_id=config.merchant_id,
        version=config.version,
        created_at=timestamp(config.created_at),
    )


def below_version(request: pb.ListConfigVersionsRequest) -> int | None:
    """The version below which the page begins."""
    cursor = decode_page_token(request.page_token, _filters(request), length=1)
    if cursor is None:
        return None
    if _VERSION.fullmatch(cursor[0]) is None:
        raise invalid_page_token()
    return int(cursor[0])


def versions_token(request: pb.ListConfigVersionsRequest, below: int | None) -> str:
    return "" if below is None else encode_page_token(_filters(request), (str(below),))


def change_message(change: Change) -> pb.ConfigChange:
    message = pb.ConfigChange(path=change.path)
    for field, value in (("before", change.before), ("after", change.after)):
        if not isinstance(value, Absent):
            getattr(message, field).CopyFrom(_value(value))
    return message


def _value(value: Json) -> Value:
    return Parse(json.dumps(value), Value())


def _filters(request: pb.ListConfigVersionsRequest) -> str:
    return f"ListConfigVersions {request.merchant_id}"
