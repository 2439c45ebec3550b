"""A posting by itself tells how far the ledger has followed, and why it has not."""

import asyncio
from typing import Any

from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1 import ledger_service_pb2 as ledger_pb
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from payments.ledger.v1.transaction_pb2 import PostingResult
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.posting_pb2 import Posting, PostingKind, PostingState

from services.kernel.context import CaptureMethod
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.orders import execution


class _Refusing(LedgerServiceServicer):
    """A ledger that will not have what it is sent."""

    async def BatchPostTransactions(  # noqa: N802 -- the contract's name
        self, request: ledger_pb.BatchPostTransactionsRequest, context: Any
    ) -> ledger_pb.BatchPostTransactionsResponse:
        response = ledger_pb.BatchPostTransactionsResponse()
        for draft in request.drafts:
            result = PostingResult(idempotency_key=draft.idempotency_key)
            result.failure.reason = ErrorReason.ERROR_REASON_ACCOUNT_MALFORMED
            result.failure.message = "it is no account"
            response.results.append(result)
        return response


async def _soon(house: House, state: PostingState.ValueType) -> Posting:
    """The one posting there is, once the ledger has followed so far."""
    async with asyncio.timeout(30):
        while True:
            page = await house.stub.ListPostings(pb.ListPostingsRequest(states=[state]))
            if page.postings:
                return page.postings[0]
            await asyncio.sleep(0.01)


async def test_a_posting_tells_how_far_the_ledger_has_followed(house: House) -> None:
    payment = await house.execute(execution())
    posting = await _soon(house, PostingState.POSTING_STATE_POSTED)
    assert posting.kind == PostingKind.POSTING_KIND_CAPTURE
    assert (posting.payment_id, posting.merchant_id) == (payment.id, payment.merchant_id)
    assert posting.idempotency_key.startswith("capture:step_")
    assert posting.amount.amount_minor == 10_000
    assert posting.transaction_id.startswith("ltx_")
    assert posting.try_count == 1
    assert posting.HasField("posted_at")
    assert not posting.HasField("last_failure")


async def test_a_posting_that_the_ledger_refused_says_why(application_url: str) -> None:
    refusing = _Refusing()  # type: ignore[abstract]  # it takes postings alone
    async with running_house(application_url, simulated(), ledger=refusing) as house:
        payment = await house.execute(execution())
        posting = await _soon(house, PostingState.POSTING_STATE_NEEDS_RECONCILIATION)
        assert posting.payment_id == payment.id
        assert posting.last_failure.reason == ErrorReason.ERROR_REASON_ACCOUNT_MALFORMED
        assert posting.last_failure.message == "it is no account"
        assert not posting.transaction_id


async def test_a_manual_payment_owes_the_ledger_nothing_yet(house: House) -> None:
    await house.execute(execution(capture_method=CaptureMethod.MANUAL))
    assert not (await house.stub.ListPostings(pb.ListPostingsRequest())).postings
