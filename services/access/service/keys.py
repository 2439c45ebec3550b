"""Keys: made and shown once, replaced, withdrawn, listed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.access.domain.call import Call, Done
from services.access.domain.key import (
    ApiKey,
    KeyDraft,
    KeyState,
    KeyTarget,
    NewKey,
    require_overlap,
)
from services.access.domain.secret import Pepper, hint_of, new_secret
from services.kernel.clock import Clock
from services.kernel.ids import ApiKeyId, MerchantId


@dataclass(frozen=True, slots=True)
class Shown:
    """A key that was made, and for the one call that made it the key itself."""

    key: ApiKey
    replaced: ApiKey | None
    secret: str = field(repr=False)
    replayed: bool


class KeyStore(Protocol):
    """Where keys are kept."""

    async def add(
        self, call: Call, draft: KeyDraft, new: NewKey, now: datetime
    ) -> Done[ApiKey]: ...

    async def rotate(
        self, call: Call, target: KeyTarget, new: NewKey, overlap: timedelta, now: datetime
    ) -> Done[tuple[ApiKey, ApiKey]]: ...

    async def revoke(self, call: Call, target: KeyTarget, now: datetime) -> Done[ApiKey]: ...

    async def list_keys(
        self,
        merchant_id: MerchantId | None,
        state: KeyState | None,
        below: ApiKeyId | None,
        limit: int,
        now: datetime,
    ) -> Sequence[ApiKey]: ...


class Keys:
    """What is done with keys; a repeated call shows no secret, since none is kept."""

    def __init__(self, store: KeyStore, pepper: Pepper, clock: Clock) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock

    async def create(self, call: Call, draft: KeyDraft) -> Shown:
        secret, new = self._mint()
        done = await self._store.add(call, draft, new, self._clock.now())
        return Shown(done.outcome, None, "" if done.replayed else secret, done.replayed)

    async def rotate(self, call: Call, target: KeyTarget, overlap: timedelta) -> Shown:
        require_overlap(overlap)
        secret, new = self._mint()
        done = await self._store.rotate(call, target, new, overlap, self._clock.now())
        key, replaced = done.outcome
        return Shown(key, replaced, "" if done.replayed else secret, done.replayed)

    async def revoke(self, call: Call, target: KeyTarget) -> Done[ApiKey]:
        return await self._store.revoke(call, target, self._clock.now())

    async def list_keys(
        self,
        merchant_id: MerchantId | None,
        state: KeyState | None,
        below: ApiKeyId | None,
        limit: int,
    ) -> tuple[Sequence[ApiKey], ApiKeyId | None]:
        """A page of keys, newest first, and the one before which the next page begins."""
        now = self._clock.now()
        found = await self._store.list_keys(merchant_id, state, below, limit + 1, now)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    def now(self) -> datetime:
        """The moment for which a key's state is told."""
        return self._clock.now()

    def _mint(self) -> tuple[str, NewKey]:
        secret = new_secret()
        return secret, NewKey(ApiKeyId.new(), hint_of(secret), self._pepper.digest(secret))
