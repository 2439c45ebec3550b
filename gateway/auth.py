"""Who calls: the API key in the Authorization header, as AccessService knows it.

An answer is believed for as long as AccessService says (a quarter of a second), so that a key that
is used a thousand times a second is asked about four times.
"""

import hashlib
from collections.abc import Callable
from enum import StrEnum, unique
from typing import Final, NamedTuple

from payments.access.v1.access_service_pb2 import AuthenticateRequest
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from payments.access.v1.api_key_pb2 import Role

from services.kernel.errors import FailedPrecondition, PermissionDenied, Reason, Unauthenticated
from services.kernel.ids import ApiKeyId, MerchantId

_SCHEME: Final = "bearer "
_KEY_CHARACTERS_MAX: Final = 200
_REMEMBERED_MAX: Final = 10_000


@unique
class Scope(StrEnum):
    """What a route wants its caller's key to allow."""

    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_WRITE = "refunds:write"
    LEDGER_READ = "ledger:read"
    LEDGER_WRITE = "ledger:write"


class Principal(NamedTuple):
    """Who a caller has proved to be; without a merchant, an operator."""

    api_key_id: ApiKeyId
    merchant_id: MerchantId | None
    scopes: frozenset[str]
    is_active: bool

    def require(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise PermissionDenied(
                f"this key does not allow {scope}", details={"missing_scope": scope}
            )

    def require_operator(self) -> None:
        if self.merchant_id is not None:
            raise PermissionDenied("this is for operators: it wants a key of the admin role")

    def merchant(self) -> MerchantId:
        """The merchant whose payments these are; an operator has none of its own."""
        if self.merchant_id is None:
            raise PermissionDenied("an operator's key has no payments of its own: use a merchant's")
        return self.merchant_id

    def paying_merchant(self) -> MerchantId:
        """The merchant, if it may ask for payments at present."""
        merchant_id = self.merchant()
        if not self.is_active:
            raise FailedPrecondition(
                "the merchant is suspended: what it has can still be read, captured, voided and"
                " refunded",
                reason=Reason.MERCHANT_SUSPENDED,
            )
        return merchant_id


class _Remembered(NamedTuple):
    principal: Principal
    until_seconds: float


class Principals:
    """Knows callers by what they show."""

    def __init__(self, access: AccessServiceStub, monotonic: Callable[[], float]) -> None:
        self._access = access
        self._monotonic = monotonic
        self._remembered: dict[bytes, _Remembered] = {}

    async def of(self, authorization: str | None) -> Principal:
        """Who shows this header; raises Unauthenticated."""
        if authorization is None:
            raise Unauthenticated("show an API key: `Authorization: Bearer syk_…`")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated("the Authorization header is no `Bearer <API key>`")
        secret = authorization[len(_SCHEME) :].strip()
        if len(secret) > _KEY_CHARACTERS_MAX:
            raise Unauthenticated("this is no API key")
        # By digest, so that no list of keys lies about in memory.
        digest = hashlib.sha256(secret.encode()).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and self._monotonic() < remembered.until_seconds:
            return remembered.principal
        return await self._ask(secret, digest)

    async def _ask(self, secret: str, digest: bytes) -> Principal:
        asked_at_seconds = self._monotonic()
        self._remembered.pop(digest, None)
        answer = await self._access.Authenticate(AuthenticateRequest(secret_value=secret))
        told = answer.principal
        principal = Principal(
            api_key_id=ApiKeyId(told.api_key_id),
            merchant_id=MerchantId(told.merchant_id) if told.role != Role.ROLE_ADMIN else None,
            scopes=frozenset(told.scopes),
            is_active=told.merchant_active,
        )
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        believed_seconds = answer.cache_for.ToTimedelta().total_seconds()
        self._remembered[digest] = _Remembered(principal, asked_at_seconds + believed_seconds)
        return principal
