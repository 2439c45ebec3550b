"""Postings that were given up are tried again when an operator says so."""

import pytest
from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    ExplainPaymentRequest,
    ListPostingsRequest,
    RetryPostingsRequest,
)
from payments.orchestrator.v1.posting_pb2 import PostingState

from services.kernel.errors import Conflict, InvalidArgument, NotFound, SwitchyardError
from services.kernel.ids import PostingId
from services.orchestrator.domain.posting import MAX_TRIES, RetryOrder, RetrySelection
from services.orchestrator.store.postings import Postings
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.ledgers import give_up, only_posting, troubled
from tests.orchestrator.orders import execution


def _retry(key: str, *posting_ids: str, reason: str = "the ledger is back") -> RetryPostingsRequest:
    """Of these, or of all that were given up."""
    request = RetryPostingsRequest(idempotency_key=key, operator="maria", reason=reason)
    if posting_ids:
        request.ids.posting_ids.extend(posting_ids)
    else:
        request.given_up.SetInParent()
    return request


async def test_what_was_given_up_is_booked_once_an_operator_has_it_tried_again(
    application_url: str,
) -> None:
    async with running_house(application_url, simulated(), books=False, ledger=troubled()) as house:
        payment = await house.execute(execution())
        await give_up(house)
    async with running_house(application_url, simulated(), books=False) as house:
        assert (await house.stub.RetryPostings(_retry("one"))).retried_count == 1
        posting = await only_posting(house)
        assert (posting["state"], posting["try_count"]) == ("pending", 0)
        await house.poster.post_due()
        state = (await house.get(payment.id)).posting_state
        assert state == PostingState.POSTING_STATE_POSTED
        assert sum((await house.ledger_sums()).values()) == 0
        (listed,) = (await house.stub.ListPostings(ListPostingsRequest())).postings
        (retry,) = listed.retries
        assert (retry.operator, retry.reason) == ("maria", "the ledger is back")
        assert retry.try_count == MAX_TRIES
        assert retry.failure.reason == ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE
        story = await house.stub.ExplainPayment(ExplainPaymentRequest(payment_id=payment.id))
        lines = [each.message for each in story.story.timeline if each.source == "operator"]
        assert lines == [f"maria had {listed.idempotency_key} tried again: the ledger is back."]


async def test_an_order_to_try_again_that_is_repeated_does_nothing_more(
    application_url: str,
) -> None:
    ledger = troubled(ErrorReason.ERROR_REASON_LEDGER_REJECTED)
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        await house.execute(execution())
        await house.poster.post_due()
        posting_id = PostingId.of_hex((await only_posting(house))["id"].hex)
        for _ in range(2):
            assert (await house.stub.RetryPostings(_retry("one", posting_id))).retried_count == 1
            await house.poster.post_due()
        assert (await only_posting(house))["state"] == "needs_reconciliation"
        assert len(ledger.asked) == 2
        with pytest.raises(Conflict, match="for another retry"), typed_errors():
            await house.stub.RetryPostings(_retry("one", posting_id, reason="another"))
        assert (await house.stub.RetryPostings(_retry("two", posting_id))).retried_count == 1
        assert await house.count("posting_retries") == 2


async def test_an_order_to_try_all_again_takes_so_many_at_once_and_the_oldest_first(
    application_url: str,
) -> None:
    ledger = troubled(ErrorReason.ERROR_REASON_LEDGER_REJECTED)
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        for key in ("first", "second", "third"):
            await house.execute(execution(key))
        await house.poster.post_due()
        postings = Postings(house.database, retried_max=2)
        everybodys = RetrySelection()
        for key, count, states in (
            ("one", 2, ["pending", "pending", "needs_reconciliation"]),
            ("two", 1, ["pending", "pending", "pending"]),
            ("one", 2, ["pending", "pending", "pending"]),
        ):
            order = RetryOrder(key, everybodys, "maria", "the ledger is back")
            assert await postings.retry(order) == count
            rows = await house.rows("select state from payments.postings order by id")
            assert [row["state"] for row in rows] == states


async def test_what_waits_or_is_booked_is_not_begun_anew(application_url: str) -> None:
    async with running_house(application_url, simulated(), books=False) as house:
        await house.execute(execution("first"))
        await house.poster.post_due()
        await house.execute(execution("second"))
        assert (await house.stub.RetryPostings(_retry("one"))).retried_count == 0
        rows = await house.rows("select state, try_count from payments.postings order by id")
        assert [tuple(row) for row in rows] == [("posted", 1), ("pending", 0)]


_NOBODYS = PostingId.new()


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (_retry("key", _NOBODYS), NotFound),
        (RetryPostingsRequest(idempotency_key="key", operator="a", reason="b"), InvalidArgument),
        (_retry(""), InvalidArgument),
        (_retry("key", reason=" "), InvalidArgument),
        (_retry("key", *[_NOBODYS] * 1001), InvalidArgument),
    ],
    ids=["unknown", "nothing chosen", "no key", "no reason", "too many"],
)
async def test_an_order_that_means_nothing_is_refused_and_not_kept(
    house: House, request_: RetryPostingsRequest, error: type[SwitchyardError]
) -> None:
    with pytest.raises(error), typed_errors():
        await house.stub.RetryPostings(request_)
    assert await house.count("posting_retries") == 0
