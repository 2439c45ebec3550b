"""A ledger behind a turnstile: it can be gone, and it can refuse some of what it is sent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from payments.core.v1.error_reason_pb2 import ERROR_REASON_LEDGER_REJECTED
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from payments.ledger.v1.transaction_pb2 import PostingResult, TransactionDraft

from services.runtime.rpc import GrpcServer, Middleware, Registry
from services.system import System

_STOP_SECONDS = 0.1

Refuses = Callable[[TransactionDraft], bool]


def _nothing(_draft: TransactionDraft) -> bool:
    return False


class Turnstile(LedgerServiceServicer):
    """Stands before the ledger of a system, on a port of its own, and can be closed and opened."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.ledger = LedgerServiceStub(system.channel)
        self._server: GrpcServer | None = None
        self._port = 0
        self.refuses: Refuses = _nothing
        """Which drafts it refuses for good."""
        self.refused: set[str] = set()
        """The keys of those that it has refused."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Let calls through, on the port that it had before."""
        registry = Registry(Middleware(self._system.telemetry, token=self._system.token))
        registry.register(add_LedgerServiceServicer_to_server, self)
        self._server = GrpcServer(registry)
        self._port = await self._server.start(self.address)

    async def close(self) -> None:
        """Cut whoever is being served, and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(_STOP_SECONDS)

    async def BatchPostTransactions(  # noqa: N802 -- the contract's name
        self, request: pb.BatchPostTransactionsRequest, context: Any
    ) -> pb.BatchPostTransactionsResponse:
        passing = [each for each in request.drafts if not self.refuses(each)]
        booked = await self.ledger.BatchPostTransactions(
            pb.BatchPostTransactionsRequest(drafts=passing)
        )
        results = {each.idempotency_key: each for each in booked.results}
        for draft in request.drafts:
            if draft.idempotency_key not in results:
                results[draft.idempotency_key] = _refusal(draft)
                self.refused.add(draft.idempotency_key)
        return pb.BatchPostTransactionsResponse(
            results=[results[each.idempotency_key] for each in request.drafts]
        )


def _refusal(draft: TransactionDraft) -> PostingResult:
    result = PostingResult(idempotency_key=draft.idempotency_key)
    result.failure.reason = ERROR_REASON_LEDGER_REJECTED
    result.failure.message = "the account is closed"
    return result


@asynccontextmanager
async def turnstile(system: System) -> AsyncIterator[Turnstile]:
    """An open one; it is closed in the end."""
    made = Turnstile(system)  # type: ignore[abstract]  # the orchestrator asks for nothing else here
    await made.open()
    try:
        yield made
    finally:
        await made.close()
