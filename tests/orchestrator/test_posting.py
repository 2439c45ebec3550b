"""Captured and not booked: postings wait, are tried again, and end with a person at the latest."""

from typing import Any

import pytest
from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState

from services.kernel.errors import Unavailable
from services.orchestrator.domain.posting import MAX_TRIES
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.orders import execution

_DUE_NOW = "update payments.postings set due_at = now() where state = 'pending'"


class _TroubledLedger(LedgerServiceServicer):
    """Is away, or refuses with a reason."""

    def __init__(self, reason: ErrorReason.ValueType | None = None) -> None:
        self.reason = reason
        self.asked: list[pb.BatchPostTransactionsRequest] = []

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


def _troubled(reason: ErrorReason.ValueType | None = None) -> _TroubledLedger:
    return _TroubledLedger(reason)  # type: ignore[abstract]  # as far as it is called


async def _posting(house: House) -> dict[str, Any]:
    (row,) = await house.rows("select * from payments.postings")
    return dict(row)


async def test_a_ledger_that_is_away_leaves_the_payment_captured_and_the_posting_waiting(
    application_url: str,
) -> None:
    ledger = _troubled()
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        payment = await house.execute(execution())
        assert not await house.poster.post_due()
        assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
        posting = await _posting(house)
        assert (posting["state"], posting["try_count"]) == ("pending", 1)
        assert posting["failure_reason"] == "SERVICE_UNAVAILABLE"
        await house.poster.post_due()
        assert len(ledger.asked) == 1, "it pauses before it tries again"
        assert house.calls == ["Authorize", "Capture"]
    async with running_house(application_url, simulated(), books=False) as house:
        await house.rows(_DUE_NOW)
        await house.poster.post_due()
        state = (await house.get(payment.id)).posting_state
        assert state == PostingState.POSTING_STATE_POSTED
        assert sum((await house.ledger_sums()).values()) == 0


async def test_after_so_many_tries_a_person_has_to_look(application_url: str) -> None:
    ledger = _troubled(ErrorReason.ERROR_REASON_DATABASE_UNAVAILABLE)
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        payment = await house.execute(execution())
        for _ in range(MAX_TRIES):
            await house.rows(_DUE_NOW)
            await house.poster.post_due()
        await house.rows(_DUE_NOW)
        await house.poster.post_due()
        assert len(ledger.asked) == MAX_TRIES
        read = await house.get(payment.id)
        assert read.posting_state == PostingState.POSTING_STATE_NEEDS_RECONCILIATION
        assert read.needs_reconciliation


@pytest.mark.parametrize(
    "reason",
    [
        ErrorReason.ERROR_REASON_LEDGER_REJECTED,
        ErrorReason.ERROR_REASON_TRANSACTION_UNBALANCED,
        ErrorReason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED,
    ],
)
async def test_what_the_ledger_rejects_is_not_tried_again_and_is_told(
    application_url: str, reason: ErrorReason.ValueType
) -> None:
    ledger = _troubled(reason)
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        read = await house.get(payment.id)
        assert read.state == PaymentState.PAYMENT_STATE_CAPTURED
        assert read.needs_reconciliation
        assert read.posting_state == PostingState.POSTING_STATE_NEEDS_RECONCILIATION
        told = (await house.told())[-1]
        assert told.payment_posting_rejected.failure.reason == reason
        assert told.sequence == read.version
        await house.rows(_DUE_NOW)
        await house.poster.post_due()
        assert len(ledger.asked) == 1


async def test_what_was_booked_and_not_marked_is_booked_once(application_url: str) -> None:
    async with running_house(application_url, simulated(), books=False) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        posted = await _posting(house)
        await house.rows(
            "update payments.postings set state = 'pending', transaction_id = null,"
            " posted_at = null, due_at = now()"
        )
        await house.poster.post_due()
        again = await _posting(house)
        assert again["transaction_id"] == posted["transaction_id"]
        (count,) = await house.rows("select count(*) from ledger.ledger_transactions")
        assert count[0] == 1
        state = (await house.get(payment.id)).posting_state
        assert state == PostingState.POSTING_STATE_POSTED
