"""The oracle is put to a system at work: it sees what stands open, and is not taken in by haste."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from oracle import Bounds, Examination, Heap, Record, Terms, examine
from oracle.examination import NotExamined
from services.runtime.startup import StartupError
from tests.conftest import DatabaseUrls
from tests.oracle.conftest import Market, unguarded

_TERMS = Terms(
    Bounds(work=timedelta(minutes=10)),
    statement_timeout=timedelta(seconds=30),
    pause=timedelta(milliseconds=10),
)
_EMPTY = Record(frozenset({"stripe"}), [], [])

# What is due in an hour, nobody does meanwhile.
_STANDS_OPEN = """
update payments.attempts
   set state = 'in_doubt', settled_at = null, look_up_at = now() + interval '1 hour'
 where operation = 'authorize' and payment_id = (
     select id from payments.payments where state = 'authorized');
update payments.payments
   set in_doubt_since = now() - interval '5 minutes', due_at = now() + interval '1 hour'
 where state = 'authorized';
update payments.postings
   set state = 'pending', transaction_id = null, posted_at = null,
       due_at = now() + interval '1 hour'
 where kind = 'refund';
insert into messaging.dead_letters
       (id, consumer, event_id, topic, key, type, payload, headers, occurred_at, error, attempts)
values ('dlq_1', 'somebody', 'evt_1', 'payment.events', 'pay_1', 'PaymentCreated', '', '{}', now(),
        'no', 5);
insert into webhooks.webhook_events
       (id, stripe_event_id, processor_id, event_type, subject, raw_body, signature_verified, state,
        created_at)
values (uuidv7(), 'evt_2', 'stripe', 'charge.refunded', 'pi_1', '', true, 'unmatched', now());
"""


def _telling(*records: Record) -> Callable[[], Awaitable[Record]]:
    """Tells one record after the other."""
    left = list(records)

    async def read() -> Record:
        return left.pop(0)

    return read


async def _examined(market: Market, *records: Record) -> Examination:
    url = market.urls.application
    return await examine(url, _TERMS, setting="here", read_record=_telling(*records))


async def test_nothing_is_found_where_all_is_well_with_the_applications_login(
    market: Market,
) -> None:
    found = await _examined(market, market.record)
    assert found.report.is_clean, found.report
    assert found.is_compared
    assert found.report.checked["payments"] == 5
    assert not [*found.standing.in_doubt, *found.standing.postings, *found.standing.webhooks]


async def test_what_seems_wrong_once_alone_was_under_way(market: Market) -> None:
    found = await _examined(market, _EMPTY, market.record)
    assert found.report.is_clean, found.report


async def test_what_seems_wrong_twice_is_told(market: Market) -> None:
    found = await _examined(market, _EMPTY, _EMPTY)
    assert {each.rule for each in found.report.violations} == {
        "success.made_up",
        "return.made_up",
    }


async def test_payments_of_before_may_be_left_out(market: Market) -> None:
    """Their holds are no strangers then, and what is wrong with the others is still found."""
    created = "select created_at from payments.payments order by id"
    third = (await market.owner.fetch(created))[2]["created_at"]
    # The id, which decides, is made a little before or after that.
    terms = replace(_TERMS, since=third - timedelta(milliseconds=2))
    wrong = "update payments.steps set platform_fee = platform_fee - 1 where platform_fee > 0"
    await unguarded(market.owner, wrong)
    url, records = market.urls.application, _telling(*[market.record] * 4)
    found = await examine(url, terms, setting="here", read_record=records)
    assert found.report.checked["payments"] == 3
    assert {each.rule for each in found.report.violations} == {"ledger.account"}
    assert len({each.subject for each in found.report.violations}) == 1
    assert sum(found.report.outside.values()) == 3


async def test_what_stands_open_is_counted_and_no_violation(market: Market) -> None:
    await unguarded(market.owner, _STANDS_OPEN)
    found = await examine(market.urls.application, _TERMS, setting="here")
    standing = found.standing
    assert found.report.is_clean, found.report
    assert not found.is_compared
    (doubt,) = standing.in_doubt
    assert (doubt.count, doubt.amount_minor, doubt.currency) == (1, 10_000, "USD")
    assert standing.now - doubt.oldest >= timedelta(minutes=5)
    assert [_short(each) for each in standing.postings] == [("pending", 1, 1_000, "USD")]
    assert [_short(each) for each in standing.dead_letters] == [("somebody", 1, 0, "")]
    assert [_short(each) for each in standing.webhooks] == [("unmatched", 1, 0, "")]


def _short(heap: Heap) -> tuple[str, int, int, str]:
    return heap.name, heap.count, heap.amount_minor, heap.currency


async def test_a_posting_that_was_given_up_is_a_violation(market: Market) -> None:
    await unguarded(
        market.owner,
        "update payments.postings set state = 'needs_reconciliation', try_count = 12,"
        " transaction_id = null, posted_at = null, failure_reason = 'LEDGER_REJECTED',"
        " failure_message = 'no' where kind = 'refund'",
    )
    found = await _examined(market, market.record, market.record)
    (violation,) = found.report.violations
    assert violation.rule == "posting.given_up"
    assert violation.subject.startswith("refund:rep_")
    assert violation.message == "was given up after 12 tries: LEDGER_REJECTED: no"


async def test_a_record_that_cannot_be_read_is_said_to_be_missing(market: Market) -> None:
    async def fail() -> Record:
        raise ValueError("no JSON")

    url = market.urls.application
    found = await examine(url, _TERMS, setting="here", read_record=fail)
    assert found.report.is_clean
    assert "no JSON" in found.problem


async def test_it_waits_for_no_question_longer_than_it_was_told(market: Market) -> None:
    terms = Terms(Bounds(), statement_timeout=timedelta(milliseconds=100))
    async with market.owner.transaction():
        await market.owner.execute("lock payments.payments in access exclusive mode")
        with pytest.raises(NotExamined, match=r"here: .* longer than 0\.1 s"):
            await examine(market.urls.application, terms, setting="here")


async def test_a_login_that_may_not_read_everything_is_said_to_be_one(
    database_urls: DatabaseUrls,
) -> None:
    owner = await asyncpg.connect(database_urls.owner)
    await owner.execute("revoke select on payments.attempts from switchyard_app")
    await owner.close()
    with pytest.raises(NotExamined, match="attempts"):
        await examine(database_urls.application, _TERMS, setting="here")


async def test_a_database_without_switchyard_is_said_to_be_one(
    empty_database: DatabaseUrls,
) -> None:
    with pytest.raises(NotExamined, match="payment-cli migrate"):
        await examine(empty_database.application, _TERMS, setting="here")


async def test_a_database_that_is_not_there_is_named_by_where_it_was_read() -> None:
    url = "postgresql://nobody:secret@127.0.0.1:1/none"
    with pytest.raises(StartupError, match=r"^--database: nobody answers at 127.0.0.1:1"):
        await examine(url, _TERMS, setting="--database")
