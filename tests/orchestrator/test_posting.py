"""Captured and not booked: postings wait, are tried again, and end with a person at the latest."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    ExplainPaymentRequest,
    ListPostingsRequest,
    RetryPostingsRequest,
)
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState

from services.kernel.clock import SystemClock
from services.kernel.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    SwitchyardError,
    Unavailable,
)
from services.kernel.ids import LedgerTransactionId, PostingId
from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.orchestrator.domain.posting import MAX_TRIES, Booked, RetryOrder, RetrySelection
from services.orchestrator.store.postings import Postings
from services.orchestrator.workers import PosterLoop
from services.runtime.database import Database
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.orders import execution

_DUE_NOW = "update payments.postings set due_at = now() where state = 'pending'"


class _TroubledLedger(LedgerServiceServicer):
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


def _troubled(reason: ErrorReason.ValueType | None = None) -> _TroubledLedger:
    return _TroubledLedger(reason)  # type: ignore[abstract]  # as far as it is called


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
async def _silent_house(url: str) -> AsyncIterator[House]:
    database = await Database.connect(url, application_name="silent ledger")
    journal = Journal(database, event_payload, SystemClock())
    inner = LedgerServicer(Ledger(journal, Seals(database)))
    ledger = _SilentLedger(inner)  # type: ignore[abstract]  # as far as it is called
    async with running_house(url, simulated(), books=False, ledger=ledger) as house:
        yield house
    await journal.close()
    await database.close()


async def _give_up(house: House) -> None:
    """Let every try fail that there is."""
    for _ in range(MAX_TRIES):
        await house.rows(_DUE_NOW)
        await house.poster.post_due()


def _retry(key: str, *posting_ids: str, reason: str = "the ledger is back") -> RetryPostingsRequest:
    """Of these, or of all that were given up."""
    request = RetryPostingsRequest(idempotency_key=key, operator="maria", reason=reason)
    if posting_ids:
        request.ids.posting_ids.extend(posting_ids)
    else:
        request.given_up.SetInParent()
    return request


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
        assert house.calls == ["Authorize"]
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
        await _give_up(house)
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


async def test_a_ledger_that_is_away_is_not_looked_into_for_each_posting(
    application_url: str,
) -> None:
    ledger = _troubled()
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        for each in ("first", "second", "third"):
            await house.execute(execution(each))
        await _give_up(house)
        rows = await house.rows("select distinct state from payments.postings")
        assert [row["state"] for row in rows] == ["needs_reconciliation"]
    assert ledger.looked_count == 1


async def test_what_was_booked_unheard_is_found_before_a_person_is_told(
    application_url: str,
) -> None:
    async with _silent_house(application_url) as house:
        payment = await house.execute(execution())
        await _give_up(house)
        (booked,) = await house.rows("select id from ledger.ledger_transactions")
        posting = await _posting(house)
        assert (posting["state"], posting["transaction_id"]) == ("posted", booked["id"])
        assert not (await house.get(payment.id)).needs_reconciliation
        told = {each.WhichOneof("payload") for each in await house.told()}
        assert "payment_posting_rejected" not in told


async def test_what_is_booked_under_its_key_with_other_entries_is_not_taken_for_it(
    application_url: str, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    async with _silent_house(application_url) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        entries = json.loads((await _posting(house))["entries"])
        entries[0]["account"] = "processor:elsewhere:clearing"
        await owner.execute("update payments.postings set entries = $1", json.dumps(entries))
        await owner.close()
        await _give_up(house)
        assert (await house.get(payment.id)).needs_reconciliation
        assert (await _posting(house))["state"] == "needs_reconciliation"


async def test_what_was_given_up_is_booked_once_an_operator_has_it_tried_again(
    application_url: str,
) -> None:
    async with running_house(
        application_url, simulated(), books=False, ledger=_troubled()
    ) as house:
        payment = await house.execute(execution())
        await _give_up(house)
    async with running_house(application_url, simulated(), books=False) as house:
        assert (await house.stub.RetryPostings(_retry("one"))).retried_count == 1
        posting = await _posting(house)
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
    ledger = _troubled(ErrorReason.ERROR_REASON_LEDGER_REJECTED)
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        await house.execute(execution())
        await house.poster.post_due()
        posting_id = PostingId.of_hex((await _posting(house))["id"].hex)
        for _ in range(2):
            assert (await house.stub.RetryPostings(_retry("one", posting_id))).retried_count == 1
            await house.poster.post_due()
        assert (await _posting(house))["state"] == "needs_reconciliation"
        assert len(ledger.asked) == 2
        with pytest.raises(Conflict, match="for another retry"), typed_errors():
            await house.stub.RetryPostings(_retry("one", posting_id, reason="another"))
        assert (await house.stub.RetryPostings(_retry("two", posting_id))).retried_count == 1
        assert await house.count("posting_retries") == 2


async def test_an_order_to_try_all_again_takes_so_many_at_once_and_the_oldest_first(
    application_url: str,
) -> None:
    ledger = _troubled(ErrorReason.ERROR_REASON_LEDGER_REJECTED)
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


async def test_a_booking_that_was_heard_of_late_counts_though_it_was_given_up(
    application_url: str,
) -> None:
    async with running_house(application_url, simulated(), books=False) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        posted = await _posting(house)
        await house.rows(
            "update payments.postings"
            "   set state = 'needs_reconciliation', transaction_id = null, posted_at = null"
        )
        transaction_id = LedgerTransactionId.of_hex(posted["transaction_id"].hex)
        booked = Booked(transaction_id, posted["posted_at"])
        posting_id = PostingId.of_hex(posted["id"].hex)
        await Postings(house.database).mark_booked({posting_id: booked})
        state = (await house.get(payment.id)).posting_state
        assert state == PostingState.POSTING_STATE_POSTED


class _SlowPoster:
    """A try that lasts until it is let go."""

    def __init__(self) -> None:
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.ends: list[str] = []

    async def post_due(self) -> bool:
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.ends.append("cut off")
            raise
        self.ends.append("done")
        return True


@pytest.mark.parametrize(("grace_seconds", "end"), [(30.0, "done"), (0.05, "cut off")])
async def test_a_clean_stop_lets_a_try_come_to_its_end_but_not_for_ever(
    house: House, grace_seconds: float, end: str
) -> None:
    slow = _SlowPoster()
    grace = timedelta(seconds=grace_seconds)
    async with PosterLoop(slow, Postings(house.database), grace=grace):
        await slow.began.wait()
        if end == "done":
            asyncio.get_running_loop().call_later(0.1, slow.may_end.set)
    assert slow.ends == [end]
