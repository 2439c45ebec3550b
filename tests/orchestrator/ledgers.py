"""Ledgers that are away, refuse, or book and do not say so; and postings that meet them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer

from services.kernel.clock import SystemClock
from services.kernel.errors import Unavailable
from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.orchestrator.domain.posting import MAX_TRIES
from services.runtime.database import Database
from tests.orchestrator.conftest import House, running_house, simulated

DUE_NOW = "update payments.postings set due_at = now() where state = 'pending'"


class TroubledLedger(LedgerServiceServicer):
    """Is away, or refuses with a reason."""

    def __init__(self, reason: ErrorReason.ValueType | None = None) -> None:
        self.reason = reason
        self.asked: list[pb.BatchPostTransactionsRequest] = []
        self.looked_count = 0

    async def BatchPostTransactions(self, request: Any, context: Any) -> Any:  # noqa: N802 -- the contract's
        self.asked.append(request)
        if self.reason is None:
            raise Unavailable("the ledger is away")
        response = pb.BatchPostTransactionsResponse()
        for draft in request.drafts:
            result = response.results.add(idempotency_key=draft.idempotency_key)
            result.failure.reason = self.reason
            result.failure.message = "no"
        return response

    async def ListTransactions(self, request: Any, context: Any) -> Any:  # noqa: N802 -- the contract's
        self.looked_count += 1
        raise Unavailable("the ledger is away")


def troubled(reason: ErrorReason.ValueType | None = None) -> TroubledLedger:
    """A ledger that is away, or refuses with a reason."""
    return TroubledLedger(reason)  # type: ignore[abstract]  # as far as it is called


class _SilentLedger(LedgerServiceServicer):
    """Books what it is sent, and says that it is away instead of saying so."""

    def __init__(self, inner: LedgerServiceServicer) -> None:
        self.inner = inner

    async def BatchPostTransactions(self, request: Any, context: Any) -> Any:  # noqa: N802 -- the contract's
        await self.inner.BatchPostTransactions(request, context)
        raise Unavailable("nobody hears that it was booked")

    async def ListTransactions(self, request: Any, context: Any) -> Any:  # noqa: N802 -- the contract's
        return await self.inner.ListTransactions(request, context)


@asynccontextmanager
async def silent_house(url: str) -> AsyncIterator[House]:
    """A house whose ledger books, and never says so."""
    database = await Database.connect(url, application_name="silent ledger")
    journal = Journal(database, event_payload, SystemClock())
    inner = LedgerServicer(Ledger(journal, Seals(database)))
    ledger = _SilentLedger(inner)  # type: ignore[abstract]  # as far as it is called
    async with running_house(url, simulated(), books=False, ledger=ledger) as house:
        yield house
    await journal.close()
    await database.close()


async def give_up(house: House) -> None:
    """Let every try fail that there is."""
    for _ in range(MAX_TRIES):
        await house.rows(DUE_NOW)
        await house.poster.post_due()


async def only_posting(house: House) -> dict[str, Any]:
    """The one posting there is."""
    (row,) = await house.rows("select * from payments.postings")
    return dict(row)
