"""Posting: once per key, whole or not at all, each of a batch on its own."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.events.v1.envelope_pb2 import Envelope
from payments.ledger.v1.ledger_service_pb2 import (
    BatchPostTransactionsRequest,
    GetTransactionRequest,
    PostTransactionRequest,
)

from services.kernel.clock import SystemClock
from services.kernel.errors import Conflict, InvalidArgument, NotFound, Reason, Unavailable
from services.ledger.domain.transaction import MAX_LEG_MINOR, Posted
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.runtime.database import Database
from services.runtime.rpc import typed_errors
from tests.ledger import drafts
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.messages import entry, sale, sale_draft

_OLD_POST = """
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count)
    values (uuidv7(), 'pay_1', 'old', sha256('body'), 2) returning id
), legs as (
    insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
    select id, leg, account, sign * $1::bigint, 'USD'
      from header, (values (1, 'A', 1), (2, 'B', -1)) as leg (leg, account, sign)
)
select id from header
"""


async def test_a_posted_transaction_can_be_read_with_its_entries(ledger: LedgerUnderTest) -> None:
    posted = await ledger.stub.PostTransaction(sale("k1"))
    assert not posted.replayed
    transaction = posted.transaction
    assert transaction.id.startswith("ltx_")
    assert transaction.idempotency_key == "k1"
    assert [(e.account, e.amount.amount_minor, e.amount.currency) for e in transaction.entries] == [
        ("CUSTOMER", -1000, "USD"),
        ("MERCHANT", 970, "USD"),
        ("PLATFORM", 30, "USD"),
    ]
    found = await ledger.stub.GetTransaction(GetTransactionRequest(transaction_id=transaction.id))
    assert found.transaction == transaction


async def test_the_same_key_and_body_replays(ledger: LedgerUnderTest) -> None:
    first = await ledger.stub.PostTransaction(sale("k1"))
    again = await ledger.stub.PostTransaction(sale("k1"))
    assert again.replayed
    assert again.transaction == first.transaction
    assert await ledger.count("select count(*) from ledger.ledger_transactions") == 1


async def test_a_posting_is_answered_without_reading_it_again(
    application_url: str,
) -> None:
    """Once it is committed nothing may fail it; a replay is read, and may be asked for again."""
    database = await Database.connect(
        application_url, application_name="one", pool_size=1, patience=timedelta(milliseconds=200)
    )
    journal = Journal(database, event_payload, SystemClock())
    ledger = Ledger(journal, Seals(database))
    async with database.connection():
        transaction, replayed = await ledger.post(drafts.sale("k"))
        with pytest.raises(Unavailable):
            await ledger.post(drafts.sale("k"))
    assert not replayed
    assert await ledger.post(drafts.sale("k")) == (transaction, True)
    await journal.close()
    await database.close()


async def test_a_batch_is_bounded_by_its_legs_and_a_larger_transaction_goes_alone(
    application_url: str,
) -> None:
    database = await Database.connect(application_url, application_name="bounded")
    journal = Journal(database, event_payload, SystemClock(), batch_legs=7)
    large = drafts.draft("large", *drafts.sale("large").entries * 3)
    asked = [*(drafts.sale(f"k{number}") for number in range(5)), large]
    outcomes = await journal.post_each(asked)
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    # Two and two and one of three legs, then nine at once.
    assert journal.writer.counts.batches == 4
    await journal.close()
    await database.close()


async def test_the_same_key_with_another_body_is_a_conflict_that_names_the_fields(
    ledger: LedgerUnderTest,
) -> None:
    first = await ledger.stub.PostTransaction(sale("k1"))
    with pytest.raises(Conflict) as refusal, typed_errors():
        await ledger.stub.PostTransaction(sale("k1", amount_minor=2000, reference_id="pay_2"))
    assert refusal.value.reason is Reason.IDEMPOTENCY_KEY_REUSED
    assert refusal.value.details["transaction_id"] == first.transaction.id
    assert refusal.value.details["differing_fields"] == (
        "reference_id, entries[0].amount.amount_minor, entries[1].amount.amount_minor"
    )


async def test_a_hundred_at_once_with_one_key_write_one_transaction(
    ledger: LedgerUnderTest,
) -> None:
    posted = await asyncio.gather(*(ledger.stub.PostTransaction(sale("k")) for _ in range(100)))
    assert len({each.transaction.id for each in posted}) == 1
    assert sum(not each.replayed for each in posted) == 1
    assert await ledger.count("select count(*) from ledger.ledger_entries") == 3


async def test_what_was_written_before_legs_were_bounded_stands_and_can_be_read(
    ledger: LedgerUnderTest, owner_url: str
) -> None:
    amount_minor = 2 * MAX_LEG_MINOR
    owner = await asyncpg.connect(owner_url)
    await owner.execute(
        "alter table ledger.ledger_entries drop constraint ledger_entries_amount_bounded"
    )
    transaction_uuid = await owner.fetchval(_OLD_POST, amount_minor)
    await owner.close()
    request = GetTransactionRequest(transaction_id=f"ltx_{transaction_uuid.hex}")
    found = (await ledger.stub.GetTransaction(request)).transaction
    assert [leg.amount.amount_minor for leg in found.entries] == [amount_minor, -amount_minor]
    with pytest.raises(Conflict) as refusal, typed_errors():
        await ledger.stub.PostTransaction(sale("old"))
    assert refusal.value.details["transaction_id"] == found.id


async def test_one_bad_draft_of_a_batch_fails_alone(ledger: LedgerUnderTest) -> None:
    await ledger.stub.PostTransaction(sale("taken"))
    bad = sale_draft("unbalanced")
    bad.entries[0].amount.amount_minor -= 1
    drafts = [
        sale_draft("good"),
        bad,
        sale_draft("taken", amount_minor=1),
        sale_draft("taken"),
        sale_draft("good"),
        sale_draft("good", amount_minor=7),
    ]
    response = await ledger.stub.BatchPostTransactions(BatchPostTransactionsRequest(drafts=drafts))
    first, unbalanced, conflict, replayed, twice, conflict_within = response.results
    assert not first.posted.replayed
    assert unbalanced.failure.reason == ErrorReason.ERROR_REASON_TRANSACTION_UNBALANCED
    assert conflict.failure.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED
    assert replayed.posted.replayed
    assert twice.posted.replayed
    assert twice.posted.transaction_id == first.posted.transaction_id
    assert conflict_within.failure.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED
    assert [result.idempotency_key for result in response.results] == [
        draft.idempotency_key for draft in drafts
    ]
    assert await ledger.count("select count(*) from ledger.ledger_transactions") == 2


async def test_a_batch_of_more_than_a_thousand_is_refused(ledger: LedgerUnderTest) -> None:
    drafts = [sale_draft(f"k{number}") for number in range(1001)]
    with pytest.raises(InvalidArgument), typed_errors():
        await ledger.stub.BatchPostTransactions(BatchPostTransactionsRequest(drafts=drafts))
    assert await ledger.count("select count(*) from ledger.ledger_transactions") == 0


_BAD_REQUESTS = [
    (PostTransactionRequest(), "idempotency_key", "idempotency_key.present"),
    (
        PostTransactionRequest(
            idempotency_key="k", reference_id="r", entries=[entry("a", 0), entry("b", 1)]
        ),
        "entries[0].amount",
        "amount.not_zero",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k", reference_id="r", entries=[entry("a", -1), entry("b", 2)]
        ),
        "entries",
        "entries.balanced",
    ),
    (
        PostTransactionRequest(idempotency_key="k", reference_id="r", entries=[entry("a", 1)]),
        "entries",
        "entries.count",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k",
            reference_id="r",
            entries=[entry("a", -1, "EUR"), entry("b", 1, "USD")],
        ),
        "entries",
        "entries.balanced",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k",
            reference_id="r",
            entries=[entry("a", -1, "XYZ"), entry("b", 1, "XYZ")],
        ),
        "entries[0].amount.currency",
        "currency.known",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k",
            reference_id="r",
            entries=[entry("a", MAX_LEG_MINOR + 1), entry("b", -MAX_LEG_MINOR - 1)],
        ),
        "entries[1].amount",
        "amount.range",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k", reference_id="r", entries=[entry("a::b", -1), entry("b", 1)]
        ),
        "entries[0].account",
        "account.grammar",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k\x00", reference_id="r", entries=[entry("a", -1), entry("b", 1)]
        ),
        "idempotency_key",
        "idempotency_key.printable",
    ),
    (
        PostTransactionRequest(
            idempotency_key="k",
            reference_id="r",
            entries=[entry("a", -1), entry("b", 1)] * 5000 + [entry("c", 1)],
        ),
        "entries",
        "entries.count",
    ),
]


@pytest.mark.parametrize(("request_", "field", "rule"), _BAD_REQUESTS)
async def test_a_bad_request_is_refused_by_field_and_rule_and_writes_nothing(
    ledger: LedgerUnderTest, request_: PostTransactionRequest, field: str, rule: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await ledger.stub.PostTransaction(request_)
    assert (field, rule) in [(v.field, v.rule) for v in refusal.value.violations]
    assert await ledger.count("select count(*) from ledger.ledger_transactions") == 0
    assert await ledger.count("select count(*) from messaging.outbox") == 0


async def test_an_unknown_transaction_is_not_found(ledger: LedgerUnderTest) -> None:
    unknown = "ltx_019aa5a0000070008000000000000000"
    with pytest.raises(NotFound), typed_errors():
        await ledger.stub.GetTransaction(GetTransactionRequest(transaction_id=unknown))


async def test_every_transaction_is_told_of_once(ledger: LedgerUnderTest) -> None:
    posted = await ledger.stub.PostTransaction(sale("k1", reference_id="pay_1"))
    await ledger.stub.PostTransaction(sale("k1", reference_id="pay_1"))
    async with ledger.database.connection() as connection:
        (row,) = await connection.fetch("select topic, payload from messaging.outbox")
    envelope = Envelope.FromString(row["payload"])
    assert row["topic"] == "payment.events"
    assert envelope.payment_id == "pay_1"
    assert envelope.ledger_posted.transaction_id == posted.transaction.id
    assert envelope.ledger_posted.entry_count == 3
