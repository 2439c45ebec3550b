"""LedgerService over gRPC: translate, call the use case, translate back."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer

from services.kernel.ids import LedgerTransactionId
from services.kernel.money import Currency
from services.kernel.paging import page_size
from services.ledger import translate
from services.ledger.domain.verification import Verdict
from services.ledger.service import Ledger
from services.runtime.wire.amounts import money_message

Context = grpc.aio.ServicerContext[Any, Any]


class LedgerServicer(LedgerServiceServicer):
    """The servicer; what it may raise is the kernel's errors, which the middleware tells."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def PostTransaction(
        self, request: pb.PostTransactionRequest, context: Context
    ) -> pb.PostTransactionResponse:
        transaction, replayed = await self._ledger.post(translate.draft_from_message(request))
        return pb.PostTransactionResponse(
            transaction=translate.transaction_message(transaction), replayed=replayed
        )

    async def BatchPostTransactions(
        self, request: pb.BatchPostTransactionsRequest, context: Context
    ) -> pb.BatchPostTransactionsResponse:
        outcomes = await self._ledger.post_batch(translate.drafts_from_batch(request))
        return translate.batch_response(request, outcomes)

    async def GetTransaction(
        self, request: pb.GetTransactionRequest, context: Context
    ) -> pb.GetTransactionResponse:
        transaction = await self._ledger.get(LedgerTransactionId.parse(request.transaction_id))
        return pb.GetTransactionResponse(transaction=translate.transaction_message(transaction))

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        page = await self._ledger.list_transactions(
            translate.transaction_filter(request),
            translate.transactions_after(request),
            page_size(request.page_size),
        )
        return pb.ListTransactionsResponse(
            transactions=[translate.transaction_message(found) for found in page.transactions],
            next_page_token=translate.transactions_token(request, page.next_cursor),
        )

    async def GetBalance(
        self, request: pb.GetBalanceRequest, context: Context
    ) -> pb.GetBalanceResponse:
        balance = await self._ledger.balance(
            request.account, Currency(request.currency), translate.balance_as_of(request)
        )
        return pb.GetBalanceResponse(balance=translate.balance_message(balance))

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Context
    ) -> pb.ListEntriesResponse:
        page = await self._ledger.statement(
            translate.statement_filter(request),
            translate.statement_after(request),
            page_size(request.page_size),
        )
        return pb.ListEntriesResponse(
            opening_balance=money_message(page.opening_balance),
            lines=[translate.statement_line_message(line) for line in page.lines],
            next_page_token=translate.statement_token(request, page.next_cursor),
        )

    async def VerifyIntegrity(
        self, request: pb.VerifyIntegrityRequest, context: Context
    ) -> AsyncIterator[pb.VerifyIntegrityResponse]:
        async for report in self._ledger.verify(request.from_epoch, request.from_block_number):
            if isinstance(report, Verdict):
                yield pb.VerifyIntegrityResponse(verdict=translate.verdict_message(report))
            else:
                yield pb.VerifyIntegrityResponse(progress=translate.progress_message(report))
