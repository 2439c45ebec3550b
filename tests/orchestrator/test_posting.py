"""Captured and not booked: postings wait, are tried again, and end with a person at the latest."""

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest
from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState

from services.kernel.ids import LedgerTransactionId, PostingId
from services.orchestrator.domain.posting import MAX_TRIES, Booked
from services.orchestrator.store.postings import Postings
from services.orchestrator.workers import PosterLoop
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.ledgers import DUE_NOW, give_up, only_posting, silent_house, troubled
from tests.orchestrator.orders import execution


async def test_a_ledger_that_is_away_leaves_the_payment_captured_and_the_posting_waiting(
    application_url: str,
) -> None:
    ledger = troubled()
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        payment = await house.execute(execution())
        assert not await house.poster.post_due()
        assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
        posting = await only_posting(house)
        assert (posting["state"], posting["try_count"]) == ("pending", 1)
        assert posting["failure_reason"] == "SERVICE_UNAVAILABLE"
        await house.poster.post_due()
        assert len(ledger.asked) == 1, "it pauses before it tries again"
        assert house.calls == ["Authorize"]
    async with running_house(application_url, simulated(), books=False) as house:
        await house.rows(DUE_NOW)
        await house.poster.post_due()
        state = (await house.get(payment.id)).posting_state
        assert state == PostingState.POSTING_STATE_POSTED
        assert sum((await house.ledger_sums()).values()) == 0


async def test_after_so_many_tries_a_person_has_to_look(application_url: str) -> None:
    ledger = troubled(ErrorReason.ERROR_REASON_DATABASE_UNAVAILABLE)
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        payment = await house.execute(execution())
        await give_up(house)
        await house.rows(DUE_NOW)
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
    ledger = troubled(reason)
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
        await house.rows(DUE_NOW)
        await house.poster.post_due()
        assert len(ledger.asked) == 1


async def test_what_was_booked_and_not_marked_is_booked_once(application_url: str) -> None:
    async with running_house(application_url, simulated(), books=False) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        posted = await only_posting(house)
        await house.rows(
            "update payments.postings set state = 'pending', transaction_id = null,"
            " posted_at = null, due_at = now()"
        )
        await house.poster.post_due()
        again = await only_posting(house)
        assert again["transaction_id"] == posted["transaction_id"]
        (count,) = await house.rows("select count(*) from ledger.ledger_transactions")
        assert count[0] == 1
        state = (await house.get(payment.id)).posting_state
        assert state == PostingState.POSTING_STATE_POSTED


async def test_a_ledger_that_is_away_is_not_looked_into_for_each_posting(
    application_url: str,
) -> None:
    ledger = troubled()
    async with running_house(application_url, simulated(), books=False, ledger=ledger) as house:
        for each in ("first", "second", "third"):
            await house.execute(execution(each))
        await give_up(house)
        rows = await house.rows("select distinct state from payments.postings")
        assert [row["state"] for row in rows] == ["needs_reconciliation"]
    assert ledger.looked_count == 1


async def test_what_was_booked_unheard_is_found_before_a_person_is_told(
    application_url: str,
) -> None:
    async with silent_house(application_url) as house:
        payment = await house.execute(execution())
        await give_up(house)
        (booked,) = await house.rows("select id from ledger.ledger_transactions")
        posting = await only_posting(house)
        assert (posting["state"], posting["transaction_id"]) == ("posted", booked["id"])
        assert not (await house.get(payment.id)).needs_reconciliation
        told = {each.WhichOneof("payload") for each in await house.told()}
        assert "payment_posting_rejected" not in told


async def test_what_is_booked_under_its_key_with_other_entries_is_not_taken_for_it(
    application_url: str, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    async with silent_house(application_url) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        entries = json.loads((await only_posting(house))["entries"])
        entries[0]["account"] = "processor:elsewhere:clearing"
        await owner.execute("update payments.postings set entries = $1", json.dumps(entries))
        await owner.close()
        await give_up(house)
        assert (await house.get(payment.id)).needs_reconciliation
        assert (await only_posting(house))["state"] == "needs_reconciliation"


async def test_a_booking_that_was_heard_of_late_counts_though_it_was_given_up(
    application_url: str,
) -> None:
    async with running_house(application_url, simulated(), books=False) as house:
        payment = await house.execute(execution())
        await house.poster.post_due()
        posted = await only_posting(house)
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
