"""A key without a database."""

from datetime import UTC, datetime

from services.access.domain.key import ApiKey
from services.access.domain.scopes import Role, granted
from services.kernel.ids import ApiKeyId, MerchantId

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_key(expires_at: datetime | None = None) -> ApiKey:
    return ApiKey(
        id=ApiKeyId.new(),
        merchant_id=MerchantId.new(),
        name="shop",
        hint="syk_abcd…wxyz",
        role=Role.MERCHANT,
        scopes=granted((), Role.MERCHANT),
        expires_at=expires_at,
        created_at=NOW,
    )
