"""Booking in the ledger what payments owe it: idempotent tries, a bounded number of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, Self, TypeAlias

import structlog

from services.kernel.clock import Clock
from services.kernel.crash_points import CrashPoint, Reach, live_on
from services.kernel.errors import SwitchyardError
from services.kernel.ids import PaymentId, PostingId
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.posting import (
    MAX_TRIES,
    Booked,
    DuePosting,
    Refusal,
    RetryOrder,
    pause_after,
    refusal_of,
)
from services.orchestrator.domain.saving import Written
from services.orchestrator.service.change import Change

BATCH_MAX: Final = 500

_log = structlog.get_logger()


class Postings(Protocol):
    """Where postings wait."""

    async def take_due(self, limit: int) -> Sequence[DuePosting]:
        """Take what is due for one try, counted beforehand; nobody else is given it meanwhile."""
        ...

    async def mark_booked(self, booked: Mapping[PostingId, Booked]) -> None: ...

    async def put_off(self, refused: Mapping[PostingId, tuple[Refusal, timedelta]]) -> None:
        """Note why the ledger has it not, and after which pause it is due again."""
        ...

    async def retry(self, order: RetryOrder) -> int:
        """Let postings that were given up be due again; how many, the same for each repeat."""
        ...


class Ledger(Protocol):
    """LedgerService; one outcome for each posting, in their order."""

    async def post(self, postings: Sequence[DuePosting]) -> Sequence[Booked | Refusal]: ...

    async def find(self, posting: DuePosting) -> Booked | None:
        """Where the ledger has a posting, if it does."""
        ...


class Payments(Protocol):
    """Where payments are changed."""

    async def change(self, payment_id: PaymentId, change: Change) -> Written: ...


Trace: TypeAlias = Callable[
    [str, Iterable[tuple[str | None, Mapping[str, str]]]], AbstractContextManager[object]
]
"""Records one piece of work in the trace of each thing that it is done for."""


def untraced(_name: str, _parts: object) -> AbstractContextManager[object]:
    """Nobody records it."""
    return nullcontext()


_Rejected: TypeAlias = Sequence[tuple[DuePosting, Refusal]]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What came of one try of several postings."""

    booked: dict[PostingId, Booked]
    refused: dict[PostingId, tuple[Refusal, timedelta]]
    """What is tried again, after which pause."""
    rejected: _Rejected
    """What is not, because that is of no use or was done often enough."""

    @classmethod
    def of(cls, due: Sequence[DuePosting], outcomes: Sequence[Booked | Refusal]) -> Self:
        verdict = cls({}, {}, rejected := [])
        for posting, outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, Booked):
                verdict.booked[posting.id] = outcome
            elif outcome.is_final or posting.try_count >= MAX_TRIES:
                rejected.append((posting, outcome))
            else:
                verdict.refused[posting.id] = (outcome, pause_after(posting.try_count))
        return verdict


class Poster:
    """Drains postings into the ledger; any number of them may work beside one another."""

    def __init__(
        self,
        postings: Postings,
        payments: Payments,
        ledger: Ledger,
        clock: Clock,
        reach: Reach = live_on,
        *,
        trace: Trace = untraced,
    ) -> None:
        self._trace = trace
        self._postings = postings
        self._payments = payments
        self._ledger = ledger
        self._clock = clock
        self._reach = reach

    async def post_due(self) -> bool:
        """Book what is due; whether there may be more."""
        due = await self._postings.take_due(BATCH_MAX)
        if not due:
            return False
        kinds = sorted({each.kind for each in due})
        for kind in kinds:
            self._reach(CrashPoint.CAPTURED_NOT_POSTED, kind)
        outcomes = await self._outcomes(due)
        for kind in kinds:
            self._reach(CrashPoint.POSTED_NOT_MARKED, kind)
        verdict = _Verdict.of(due, outcomes)
        if verdict.booked:
            await self._postings.mark_booked(verdict.booked)
        if refused := verdict.refused:
            _log.warning("the ledger has not taken postings; tried again", count=len(refused))
            await self._postings.put_off(refused)
        if found := await self._found(verdict.rejected):
            await self._postings.mark_booked(found)
        for posting, refusal in verdict.rejected:
            if posting.id not in found:
                await self._reject(posting, refusal)
        return len(due) == BATCH_MAX

    async def retry(self, order: RetryOrder) -> int:
        """Have postings tried again that were given up; how many those are."""
        count = await self._postings.retry(order)
        _log.info(
            "postings are tried again by order",
            operator=order.operator,
            reason=order.reason,
            count=count,
        )
        return count

    async def _outcomes(self, due: Sequence[DuePosting]) -> Sequence[Booked | Refusal]:
        traced = [(each.traceparent, {"payment_id": each.payment_id}) for each in due]
        try:
            with self._trace("posting", traced):
                return await self._ledger.post(due)
        except SwitchyardError as error:
            return [refusal_of(error)] * len(due)

    async def _found(self, rejected: "_Rejected") -> dict[PostingId, Booked]:
        """What the ledger has after all: it may have booked a try whose answer was lost."""
        found = dict[PostingId, Booked]()
        for posting, _ in rejected:
            try:
                booked = await self._ledger.find(posting)
            except SwitchyardError as error:
                # One that does not answer would be waited for as often as there are postings.
                _log.warning("what is given up cannot be looked for", problem=str(error))
                break
            if booked is not None:
                found[posting.id] = booked
        return found

    async def _reject(self, posting: DuePosting, refusal: Refusal) -> None:
        _log.error(
            "a posting needs reconciliation",
            payment_id=posting.payment_id,
            posting_id=posting.id,
            reason=str(refusal.reason),
            problem=refusal.message,
        )

        def apply(payment: Payment) -> None:
            payment.reject_posting(posting, refusal, self._clock.now())

        await self._payments.change(posting.payment_id, Change(apply, drives=False))
