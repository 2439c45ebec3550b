"""Messages to merchants, keys and calls, and back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1 import api_key_pb2, merchant_pb2

from services.access.domain.call import Call
from services.access.domain.key import (
    DEFAULT_OVERLAP,
    ApiKey,
    Credential,
    KeyDraft,
    KeyState,
    KeyTarget,
)
from services.access.domain.merchant import (
    Merchant,
    MerchantChange,
    MerchantDraft,
    MerchantState,
)
from services.access.domain.scopes import Role
from services.kernel.errors import invalid_field
from services.kernel.ids import ApiKeyId, MerchantId
from services.runtime.wire.moments import timestamp

_ROLES: Final = {Role.MERCHANT: api_key_pb2.ROLE_MERCHANT, Role.ADMIN: api_key_pb2.ROLE_ADMIN}
_KEY_STATES: Final = {
    KeyState.ACTIVE: api_key_pb2.API_KEY_STATE_ACTIVE,
    KeyState.ROTATED: api_key_pb2.API_KEY_STATE_ROTATED,
    KeyState.EXPIRED: api_key_pb2.API_KEY_STATE_EXPIRED,
    KeyState.REVOKED: api_key_pb2.API_KEY_STATE_REVOKED,
}
_MERCHANT_STATES: Final = {
    MerchantState.ACTIVE: merchant_pb2.MERCHANT_STATE_ACTIVE,
    MerchantState.SUSPENDED: merchant_pb2.MERCHANT_STATE_SUSPENDED,
}
_ROLE_OF: Final[Mapping[int, Role]] = {number: role for role, number in _ROLES.items()}
_KEY_STATE_OF: Final[Mapping[int, KeyState]] = {
    number: state for state, number in _KEY_STATES.items()
}
_MERCHANT_STATE_OF: Final[Mapping[int, MerchantState]] = {
    number: state for state, number in _MERCHANT_STATES.items()
}

_ENDS_OF_TIME: Final = tuple(
    end.replace(tzinfo=UTC)
    for end in (datetime.min, datetime.max)  # noqa: DTZ901 -- named here
)


def merchant_draft(request: pb.CreateMerchantRequest) -> tuple[Call, MerchantDraft]:
    said = {
        "operation": "CreateMerchant",
        "name": request.name,
        "contact_email": request.contact_email,
    }
    draft = MerchantDraft(request.name, request.contact_email)
    return Call(None, request.idempotency_key, said), draft


def merchant_change(request: pb.UpdateMerchantRequest) -> tuple[Call, MerchantChange]:
    change = MerchantChange(
        merchant_id=MerchantId.parse(request.merchant_id),
        expected_version=request.expected_version,
        name=request.name if request.HasField("name") else None,
        contact_email=request.contact_email if request.HasField("contact_email") else None,
        state=merchant_state(request.state),
    )
    said = {
        "operation": "UpdateMerchant",
        "expected_version": str(change.expected_version),
        "name": change.name,
        "contact_email": change.contact_email,
        "state": change.state,
    }
    return Call(change.merchant_id, request.idempotency_key, _present(said)), change


def key_draft(request: pb.CreateApiKeyRequest) -> tuple[Call, KeyDraft]:
    role = _ROLE_OF.get(request.role)
    if role is None:
        raise invalid_field("role", "role.known", "must be merchant or admin")
    expires_at = _moment("expires_at", request.expires_at)
    draft = KeyDraft(
        merchant_id=owner(request.merchant_id),
        name=request.name,
        role=role,
        scopes=tuple(request.scopes),
        expires_at=expires_at if request.HasField("expires_at") else None,
    )
    said = {
        "operation": "CreateApiKey",
        "name": draft.name,
        "role": draft.role,
        "scopes": " ".join(sorted(set(draft.scopes))),
        "expires_at": None if draft.expires_at is None else draft.expires_at.isoformat(),
    }
    return Call(draft.merchant_id, request.idempotency_key, _present(said)), draft


def rotation(request: pb.RotateApiKeyRequest) -> tuple[Call, KeyTarget, timedelta]:
    target = _target(request)
    overlap = _span("overlap", request.overlap) if request.HasField("overlap") else DEFAULT_OVERLAP
    said = {
        "operation": "RotateApiKey",
        "api_key_id": target.id,
        "overlap": str(overlap.total_seconds()),
    }
    return Call(target.merchant_id, request.idempotency_key, said), target, overlap


def revocation(request: pb.RevokeApiKeyRequest) -> tuple[Call, KeyTarget]:
    target = _target(request)
    said = {"operation": "RevokeApiKey", "api_key_id": target.id}
    return Call(target.merchant_id, request.idempotency_key, said), target


def owner(merchant_id: str) -> MerchantId | None:
    """The merchant that is named; none for an operator."""
    return MerchantId.parse(merchant_id) if merchant_id else None


def merchant_state(number: int) -> MerchantState | None:
    """The state that is named; none if none is."""
    if number and number not in _MERCHANT_STATE_OF:
        raise invalid_field("state", "state.known", "is no state of a merchant")
    return _MERCHANT_STATE_OF.get(number)


def key_state(number: int) -> KeyState | None:
    """The state that is named; none if none is."""
    if number and number not in _KEY_STATE_OF:
        raise invalid_field("state", "state.known", "is no state of a key")
    return _KEY_STATE_OF.get(number)


def merchant_message(merchant: Merchant) -> merchant_pb2.Merchant:
    return merchant_pb2.Merchant(
        id=merchant.id,
        name=merchant.name,
        state=_MERCHANT_STATES[merchant.state],
        contact_email=merchant.contact_email,
        version=merchant.version,
        created_at=timestamp(merchant.created_at),
        updated_at=timestamp(merchant.updated_at),
    )


def key_message(key: ApiKey, now: datetime) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=key.id,
        merchant_id=key.merchant_id or "",
        name=key.name,
        hint=key.hint,
        role=_ROLES[key.role],
        scopes=key.scopes,
        state=_KEY_STATES[key.state(now)],
        expires_at=timestamp(key.expires_at),
        replaces_id=key.replaces_id or "",
        created_at=timestamp(key.created_at),
        last_used_at=timestamp(key.last_used_at),
        revoked_at=timestamp(key.revoked_at),
    )


def principal_message(credential: Credential) -> api_key_pb2.Principal:
    key = credential.key
    return api_key_pb2.Principal(
        api_key_id=key.id,
        merchant_id=key.merchant_id or "",
        role=_ROLES[key.role],
        scopes=key.scopes,
        merchant_active=credential.merchant_active,
    )


def _target(request: pb.RotateApiKeyRequest | pb.RevokeApiKeyRequest) -> KeyTarget:
    return KeyTarget(ApiKeyId.parse(request.api_key_id), owner(request.merchant_id))


def _present(said: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: text for name, text in said.items() if text is not None}


def _moment(field: str, message: Timestamp) -> datetime:
    try:
        moment = message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid_field(field, "time.range", "is no moment of the years 1 to 9999") from None
    if moment in _ENDS_OF_TIME:
        # The driver takes them for infinity, and reads that back as a moment without a time zone.
        raise invalid_field(field, "time.range", "is the first or the last moment that there is")
    return moment


def _span(field: str, span: Duration) -> timedelta:
    try:
        return span.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid_field(field, "duration.range", "is no duration") from None
