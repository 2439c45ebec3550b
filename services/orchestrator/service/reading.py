"""What callers look at: parts of payments, keys, a payment as it changes, and its whole story."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Protocol, TypeVar

from services.kernel.errors import DeadlineExceeded, NotFound, Unavailable
from services.kernel.ids import DisputeId, Id, MerchantId, PaymentId, PostingId, RefundId
from services.orchestrator.domain.command import KeyRecord
from services.orchestrator.domain.dispute import Dispute
from services.orchestrator.domain.key import KeyStanding
from services.orchestrator.domain.listing import (
    DisputeFilter,
    OfPayment,
    PostingFilter,
    RefundFilter,
    RequestFilter,
)
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.refund import Refund
from services.orchestrator.domain.state import PostingState
from services.orchestrator.domain.story import Books, PostingRecord, Pulse, RecordedRequest, Story

T = TypeVar("T")
AnyId = TypeVar("AnyId", bound=Id)

# Soon enough for a person who waits; a watcher costs the database one short statement each time.
_LOOK_SECONDS: Final = 0.25


class Payments(Protocol):
    """Where payments and keys are kept, to be read."""

    async def find(self, payment_id: PaymentId) -> Payment | None: ...

    async def find_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None: ...


class Archive(Protocol):
    """Where parts of payments, and all that is recorded about one, are read."""

    async def find_refund(self, refund_id: RefundId) -> OfPayment[Refund] | None: ...

    async def list_refunds(
        self, wanted: RefundFilter, after: RefundId | None, limit: int
    ) -> Sequence[OfPayment[Refund]]: ...

    async def find_dispute(self, dispute_id: DisputeId) -> OfPayment[Dispute] | None: ...

    async def list_disputes(
        self, wanted: DisputeFilter, after: DisputeId | None, limit: int
    ) -> Sequence[OfPayment[Dispute]]: ...

    async def list_postings(
        self, wanted: PostingFilter, after: PostingId | None, limit: int
    ) -> Sequence[OfPayment[PostingRecord]]: ...

    async def list_requests(
        self, wanted: RequestFilter, after: PaymentId | None, limit: int
    ) -> Sequence[RecordedRequest]: ...

    async def find_pulse(self, payment_id: PaymentId) -> Pulse | None: ...

    async def find_story(self, payment_id: PaymentId) -> Story | None: ...


class Ledger(Protocol):
    """LedgerService, to be read."""

    async def transactions(self, payment_id: PaymentId) -> Sequence[bytes]: ...


class Reading:
    """Shows what is recorded about payments; it changes nothing.

    What belongs to another merchant is not there, and is refused in the same words.
    """

    def __init__(
        self,
        payments: Payments,
        archive: Archive,
        ledger: Ledger,
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._payments = payments
        self._archive = archive
        self._ledger = ledger
        self._look_seconds = look_seconds

    async def refund(
        self, refund_id: RefundId, merchant_id: MerchantId | None
    ) -> OfPayment[Refund]:
        found = await self._archive.find_refund(refund_id)
        return _of_merchant(found, merchant_id, f"refund {refund_id}")

    async def refunds(
        self, wanted: RefundFilter, after: RefundId | None, limit: int
    ) -> tuple[Sequence[OfPayment[Refund]], RefundId | None]:
        """A page of refunds, newest first, and after which one the next page begins."""
        found = await self._archive.list_refunds(wanted, after, limit + 1)
        return _page(found, limit, lambda each: each.part.id)

    async def dispute(
        self, dispute_id: DisputeId, merchant_id: MerchantId | None
    ) -> OfPayment[Dispute]:
        found = await self._archive.find_dispute(dispute_id)
        return _of_merchant(found, merchant_id, f"dispute {dispute_id}")

    async def disputes(
        self, wanted: DisputeFilter, after: DisputeId | None, limit: int
    ) -> tuple[Sequence[OfPayment[Dispute]], DisputeId | None]:
        """A page of disputes, newest first, and after which one the next page begins."""
        found = await self._archive.list_disputes(wanted, after, limit + 1)
        return _page(found, limit, lambda each: each.part.id)

    async def postings(
        self, wanted: PostingFilter, after: PostingId | None, limit: int
    ) -> tuple[Sequence[OfPayment[PostingRecord]], PostingId | None]:
        """A page of postings, oldest first, and after which one the next page begins."""
        found = await self._archive.list_postings(wanted, after, limit + 1)
        return _page(found, limit, lambda each: each.part.id)

    async def requests(
        self, wanted: RequestFilter, after: PaymentId | None, limit: int
    ) -> tuple[Sequence[RecordedRequest], PaymentId | None]:
        """A page of requests, newest first, and after whose payment the next page begins."""
        found = await self._archive.list_requests(wanted, after, limit + 1)
        return _page(found, limit, lambda each: each.payment_id)

    async def key(
        self, merchant_id: MerchantId, key: str, fingerprint: bytes | None
    ) -> KeyStanding:
        """What became of the call that used a key, and how a request with a fingerprint fares."""
        return KeyStanding.of(await self._payments.find_key(merchant_id, key), fingerprint)

    async def watch(
        self, payment_id: PaymentId, merchant_id: MerchantId | None, after_version: int
    ) -> AsyncGenerator[Payment, None]:
        """A payment as it is, and each time it has changed, until it changes no more by itself."""
        seen: tuple[int, PostingState] | None = None
        while True:
            pulse = await self._archive.find_pulse(payment_id)
            if pulse is not None and (pulse.version, pulse.posting_state) == seen:
                if pulse.is_last:
                    return
                await asyncio.sleep(self._look_seconds)
                continue
            payment = await self._payment(payment_id, merchant_id)
            is_news = seen is not None or payment.version > after_version
            seen = payment.version, payment.posting_state
            if is_news:
                yield payment

    async def story(
        self, payment_id: PaymentId, merchant_id: MerchantId | None
    ) -> tuple[Story, Books]:
        """All that is known about a payment, and what the ledger has of it."""
        story = await self._archive.find_story(payment_id)
        if story is None or merchant_id not in (None, story.payment.merchant_id):
            raise NotFound(f"there is no payment {payment_id}")
        try:
            return story, Books(await self._ledger.transactions(payment_id))
        except (Unavailable, DeadlineExceeded) as error:
            return story, Books(problem=error.message)

    async def _payment(self, payment_id: PaymentId, merchant_id: MerchantId | None) -> Payment:
        payment = await self._payments.find(payment_id)
        if payment is None or merchant_id not in (None, payment.merchant_id):
            raise NotFound(f"there is no payment {payment_id}")
        return payment


def _of_merchant(
    found: OfPayment[T] | None, merchant_id: MerchantId | None, name: str
) -> OfPayment[T]:
    if found is None or merchant_id not in (None, found.merchant_id):
        raise NotFound(f"there is no {name}")
    return found


def _page(
    found: Sequence[T], limit: int, id_of: Callable[[T], AnyId]
) -> tuple[Sequence[T], AnyId | None]:
    """What fits on the page, and after which one the next begins if more follows."""
    page = found[:limit]
    return page, id_of(page[-1]) if len(found) > limit else None
