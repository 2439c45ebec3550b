"""Merchants: made, changed, read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.access.domain.call import Call, Done
from services.access.domain.merchant import (
    Merchant,
    MerchantChange,
    MerchantDraft,
    MerchantState,
    unknown_merchant,
)
from services.kernel.clock import Clock
from services.kernel.ids import MerchantId


class MerchantStore(Protocol):
    """Where merchants are kept."""

    async def add(self, call: Call, merchant: Merchant) -> Done[Merchant]: ...

    async def change(self, call: Call, change: MerchantChange, now: datetime) -> Done[Merchant]: ...

    async def find(self, merchant_id: MerchantId) -> Merchant | None: ...

    async def list_merchants(
        self, state: MerchantState | None, above: MerchantId | None, limit: int
    ) -> Sequence[Merchant]: ...


class Merchants:
    """What operators do with merchants."""

    def __init__(self, store: MerchantStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, call: Call, draft: MerchantDraft) -> Done[Merchant]:
        now = self._clock.now()
        merchant = Merchant(
            MerchantId.new(), draft.name, MerchantState.ACTIVE, draft.contact_email, 1, now, now
        )
        return await self._store.add(call, merchant)

    async def change(self, call: Call, change: MerchantChange) -> Done[Merchant]:
        return await self._store.change(call, change, self._clock.now())

    async def get(self, merchant_id: MerchantId) -> Merchant:
        found = await self._store.find(merchant_id)
        if found is None:
            raise unknown_merchant(merchant_id)
        return found

    async def list_merchants(
        self, state: MerchantState | None, above: MerchantId | None, limit: int
    ) -> tuple[Sequence[Merchant], MerchantId | None]:
        """A page of merchants, oldest first, and the one after which the next page begins."""
        found = await self._store.list_merchants(state, above, limit + 1)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None
