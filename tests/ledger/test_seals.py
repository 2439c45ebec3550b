"""Whoever changes the sealed past is found out, also as the database's owner with triggers off."""

import asyncpg
import pytest
from payments.ledger.v1.integrity_pb2 import IntegrityFindingKind as Kind
from payments.ledger.v1.integrity_pb2 import IntegrityState

from services.kernel.errors import InvalidArgument, NotFound
from services.runtime.database import Connection
from services.runtime.migrate import migrate
from services.runtime.rpc import typed_errors
from services.runtime.startup import StartupError
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.messages import sale
from tests.ledger.sealing import seal_all, verify

_INSERT_PAIR = """
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count, written_in)
    select gen_random_uuid(), 'forged', 'forged', sha256('forged'), 2, {written_in}
    returning id
)
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select id, leg, account, amount, 'USD'
  from header, (values (1, 'CUSTOMER', -7), (2, 'THIEF', 7)) as forged (leg, account, amount)
"""


@pytest.fixture
async def sealed(ledger: LedgerUnderTest) -> LedgerUnderTest:
    """Twelve transactions in three blocks, and one that is not sealed yet."""
    for number in range(12):
        await ledger.stub.PostTransaction(sale(f"k{number}", 1000 + number))
    assert await seal_all(ledger) == 3
    await ledger.stub.PostTransaction(sale("young"))
    return ledger


async def test_an_untouched_ledger_is_intact(sealed: LedgerUnderTest) -> None:
    verdict = await verify(sealed)
    assert verdict.state == IntegrityState.INTEGRITY_STATE_INTACT
    assert not verdict.findings
    assert (verdict.checked.blocks_checked, verdict.checked.transactions_checked) == (3, 12)
    assert verdict.checked.entries_checked == 36
    assert verdict.transactions_unsealed == 1
    assert [(money.currency, money.amount_minor) for money in verdict.sums] == [("USD", 0)]


async def test_an_empty_ledger_is_intact(ledger: LedgerUnderTest) -> None:
    assert await seal_all(ledger) == 0
    assert (await verify(ledger)).state == IntegrityState.INTEGRITY_STATE_INTACT


_TAMPERING = [
    (
        "update ledger.ledger_entries set amount = amount * 2 where transaction_id ="
        " (select id from ledger.ledger_transactions where idempotency_key = 'k3')",
        [Kind.INTEGRITY_FINDING_KIND_CONTENT_CHANGED],
    ),
    (
        "update ledger.ledger_entries set account = 'THIEF' where account = 'MERCHANT'"
        " and amount = 970",
        [Kind.INTEGRITY_FINDING_KIND_CONTENT_CHANGED],
    ),
    (
        "update ledger.ledger_transactions set reference_id = 'other' where idempotency_key = 'k0'",
        [Kind.INTEGRITY_FINDING_KIND_CONTENT_CHANGED],
    ),
    (
        "update ledger.ledger_transactions set created_at = created_at - interval '1 day'"
        " where idempotency_key = 'k0'",
        [Kind.INTEGRITY_FINDING_KIND_CONTENT_CHANGED],
    ),
    (
        "delete from ledger.ledger_entries where account = 'PLATFORM' and amount = 30"
        " and transaction_id = (select id from ledger.ledger_transactions"
        " where idempotency_key = 'k5')",
        [
            Kind.INTEGRITY_FINDING_KIND_ROWS_REMOVED,
            Kind.INTEGRITY_FINDING_KIND_UNBALANCED,
            Kind.INTEGRITY_FINDING_KIND_UNBALANCED,
        ],
    ),
    (
        "with gone as (delete from ledger.ledger_transactions where idempotency_key = 'k5'"
        " returning id) delete from ledger.ledger_entries as entry using gone"
        " where entry.transaction_id = gone.id",
        [Kind.INTEGRITY_FINDING_KIND_ROWS_REMOVED],
    ),
    (
        _INSERT_PAIR.format(
            written_in="(select written_in from ledger.ledger_transactions"
            " where idempotency_key = 'k5')"
        ),
        [Kind.INTEGRITY_FINDING_KIND_ROWS_INSERTED],
    ),
    (
        _INSERT_PAIR.format(written_in="'3'::xid8"),
        [Kind.INTEGRITY_FINDING_KIND_ROWS_INSERTED],
    ),
    (
        "insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)"
        " select gen_random_uuid(), leg, 'THIEF', amount, 'USD'"
        " from (values (1, 7), (2, -7)) as forged (leg, amount)",
        [Kind.INTEGRITY_FINDING_KIND_UNBALANCED] * 2,
    ),
    (
        "update ledger.ledger_transactions set created_at = 'infinity'"
        " where idempotency_key = 'k0'",
        [Kind.INTEGRITY_FINDING_KIND_CONTENT_CHANGED],
    ),
    (
        "update ledger.blocks set sealed_at = sealed_at - interval '1 microsecond'"
        " where number = 2",
        [Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN],
    ),
    (
        "update ledger.blocks set sealed_at = '4000-01-01 BC' where number = 3",
        [Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN],
    ),
    (
        "update ledger.blocks set sealed_at = 'infinity' where number = 3",
        [Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN],
    ),
    (
        "update ledger.blocks set from_xid = '1' where number = 1",
        [Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN] * 2,
    ),
    (
        "update ledger.blocks set below_xid = '18446744073709551615' where number = 2",
        [
            Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN,
            Kind.INTEGRITY_FINDING_KIND_ROWS_INSERTED,
            Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN,
        ],
    ),
    (
        "update ledger.blocks set previous_hash = sha256('forged') where number = 1",
        [Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN] * 2,
    ),
    (
        "update ledger.blocks set entry_count = entry_count + 1 where number = 2",
        [
            Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN,
            Kind.INTEGRITY_FINDING_KIND_ROWS_REMOVED,
        ],
    ),
    (
        "update ledger.blocks set hash = sha256('forged') where number = 2",
        [Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN] * 2,
    ),
    (
        "delete from ledger.blocks where number = 2",
        [
            Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN,
            Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN,
            Kind.INTEGRITY_FINDING_KIND_CHAIN_BROKEN,
            Kind.INTEGRITY_FINDING_KIND_ROWS_INSERTED,
        ],
    ),
]


@pytest.mark.parametrize(("statement", "kinds"), _TAMPERING)
async def test_tampering_with_the_sealed_past_is_found(
    sealed: LedgerUnderTest, intruder: Connection, statement: str, kinds: list[Kind.ValueType]
) -> None:
    assert await intruder.execute(statement) not in ("UPDATE 0", "DELETE 0", "INSERT 0 0")
    verdict = await verify(sealed)
    assert verdict.state == IntegrityState.INTEGRITY_STATE_TAMPERED
    assert [finding.kind for finding in verdict.findings] == kinds


async def test_verification_may_begin_at_a_block(
    sealed: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute("update ledger.blocks set entry_count = 1 where number = 1")
    assert (await verify(sealed, from_block=2)).checked.blocks_checked == 2
    assert not (await verify(sealed, from_block=2)).findings
    assert (await verify(sealed)).findings


async def test_nothing_is_sealed_below_which_a_transaction_is_still_open(
    ledger: LedgerUnderTest, application_url: str
) -> None:
    late = await asyncpg.connect(application_url)
    block = late.transaction()
    await block.start()
    await late.execute("select pg_current_xact_id()")
    await ledger.stub.PostTransaction(sale("while another is open"))
    assert await ledger.seals.seal_next() is None
    await late.execute(_INSERT_PAIR.replace(", written_in)", ")").replace(", {written_in}", ""))
    await block.commit()
    await late.close()
    assert await seal_all(ledger) == 1
    verdict = await verify(ledger)
    assert not verdict.findings
    assert verdict.checked.transactions_checked == 2


async def test_a_restored_dump_begins_another_epoch_and_stays_whole(
    sealed: LedgerUnderTest, intruder: Connection, owner_url: str, application_url: str
) -> None:
    """Another server counts its transaction ids anew: old and new ones must not be mixed up."""
    await intruder.execute("alter table ledger.epochs disable trigger all")
    await intruder.execute("update ledger.epochs set system_identifier = 1")
    with pytest.raises(StartupError, match="payment-cli migrate"):
        await sealed.seals.check_settled()
    for _ in range(2):
        await migrate(owner_url=owner_url, application_url=application_url)
    await sealed.seals.check_settled()
    assert await sealed.count("select max(epoch) from ledger.epochs") == 2
    await sealed.stub.PostTransaction(sale("after the move"))
    assert await seal_all(sealed) == 2
    verdict = await verify(sealed)
    assert not verdict.findings
    assert verdict.checked.transactions_checked == 14
    await _verification_begins_with_an_epoch(sealed, verdict.checked.blocks_checked)


async def _verification_begins_with_an_epoch(ledger: LedgerUnderTest, last: int) -> None:
    """The last block is the first one of the second epoch."""
    assert (await verify(ledger, from_epoch=1)).checked.blocks_checked == last
    assert (await verify(ledger, from_epoch=1, from_block=2)).checked.blocks_checked == last - 1
    since = await verify(ledger, from_epoch=2)
    assert (since.checked.blocks_checked, since.checked.transactions_checked) == (1, 1)
    with pytest.raises(InvalidArgument, match="block 1 is before epoch 2"), typed_errors():
        await verify(ledger, from_epoch=2, from_block=1)
    for epoch in (3, 2**63 - 1):
        with pytest.raises(NotFound, match="no block of epoch"), typed_errors():
            await verify(ledger, from_epoch=epoch)
