"""An API key: what is known of it after it was shown once, and when it is taken."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from services.access.domain.checks import check_text
from services.access.domain.scopes import Role, check_scopes, granted
from services.kernel.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Unauthenticated,
)
from services.kernel.ids import ApiKeyId, MerchantId

DEFAULT_OVERLAP: Final = timedelta(hours=24)

_LONGEST_OVERLAP: Final = timedelta(days=30)
_NAME_CHARACTERS_MAX: Final = 100


@unique
class KeyState(StrEnum):
    """Whether a key is taken: active and rotated ones are."""

    ACTIVE = "active"
    ROTATED = "rotated"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Everything about a key but the key."""

    id: ApiKeyId
    merchant_id: MerchantId | None
    name: str
    hint: str
    role: Role
    scopes: tuple[str, ...]
    expires_at: datetime | None
    replaces_id: ApiKeyId | None = None
    replaced_at: datetime | None = None
    revoked_at: datetime | None = None
    created_at: datetime
    last_used_at: datetime | None = None

    def state(self, now: datetime) -> KeyState:
        """What it is at a moment; the list's SQL says the same."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE if self.replaced_at is None else KeyState.ROTATED

    def require_taken(self, now: datetime) -> None:
        """Refuse a caller who shows it when its time is over; who has it may know why."""
        state = self.state(now)
        if state in (KeyState.REVOKED, KeyState.EXPIRED):
            raise Unauthenticated(
                f"the API key {self.hint} {_PAST[state]}",
                details={"cause": state.value, "api_key_id": self.id},
            )

    def replaced(self, now: datetime, overlap: timedelta) -> "ApiKey":
        """The same key from the moment on in which another takes its place."""
        state = self.state(now)
        if state is not KeyState.ACTIVE:
            raise FailedPrecondition(
                f"{self.id} {_PAST[state]}, so that there is nothing to replace",
                details={"state": state.value},
            )
        end = now + overlap
        if self.expires_at is not None:
            end = min(end, self.expires_at)
        return replace(self, replaced_at=now, expires_at=end)

    def successor(self, id: ApiKeyId, hint: str, now: datetime) -> "ApiKey":  # noqa: A002 -- its id
        """The key that takes its place: alike in everything, and for as long a time."""
        lifetime = None if self.expires_at is None else self.expires_at - self.created_at
        return replace(
            self,
            id=id,
            hint=hint,
            expires_at=None if lifetime is None else now + lifetime,
            replaces_id=self.id,
            created_at=now,
            last_used_at=None,
        )


_PAST: Final = {
    KeyState.ROTATED: "was replaced before",
    KeyState.EXPIRED: "has expired",
    KeyState.REVOKED: "was revoked",
}


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """A key that is to be."""

    merchant_id: MerchantId | None
    name: str
    role: Role
    scopes: tuple[str, ...]
    expires_at: datetime | None

    def __post_init__(self) -> None:
        if violations := list(self._violations()):
            raise InvalidArgument("the API key breaks a rule", violations=violations)

    def _violations(self) -> Iterator[FieldViolation]:
        yield from check_text("name", self.name, at_least=1, at_most=_NAME_CHARACTERS_MAX)
        yield from check_scopes(self.scopes, self.role)
        if self.role is Role.MERCHANT and self.merchant_id is None:
            yield FieldViolation("merchant_id", "merchant.present", "must say whose the key is")
        if self.role is Role.ADMIN and self.merchant_id is not None:
            message = "must be empty: an operator's key belongs to no merchant"
            yield FieldViolation("merchant_id", "merchant.absent", message)

    def key(self, id: ApiKeyId, hint: str, now: datetime) -> ApiKey:  # noqa: A002 -- its id
        """The key as it begins."""
        if self.expires_at is not None and self.expires_at <= now:
            message = "must be in the future"
            raise InvalidArgument(
                f"expires_at {message}",
                violations=[FieldViolation("expires_at", "expiry.future", message)],
            )
        return ApiKey(
            id=id,
            merchant_id=self.merchant_id,
            name=self.name,
            hint=hint,
            role=self.role,
            scopes=granted(self.scopes, self.role),
            expires_at=self.expires_at,
            created_at=now,
        )


@dataclass(frozen=True, slots=True)
class KeyTarget:
    """A key, and the merchant whose it must be; None for an operator, who may name any."""

    id: ApiKeyId
    merchant_id: MerchantId | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is stored of a key that was just made."""

    id: ApiKeyId
    hint: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Credential:
    """A key as it is found by its digest, and whether its merchant may ask for payments."""

    digest: bytes
    key: ApiKey
    merchant_active: bool


def require_overlap(overlap: timedelta) -> None:
    """Refuse an overlap that is none, or that would never end."""
    if not timedelta(0) <= overlap <= _LONGEST_OVERLAP:
        message = f"must be from zero to {_LONGEST_OVERLAP.days} days"
        raise InvalidArgument(
            f"overlap {message}", violations=[FieldViolation("overlap", "overlap.range", message)]
        )


def unknown_key(id: ApiKeyId) -> NotFound:  # noqa: A002 -- the key's
    """The refusal of a key that is not there, or is another merchant's."""
    return NotFound(f"there is no API key {id}")
