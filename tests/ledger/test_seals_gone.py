"""Blocks that somebody took away, and transactions that nobody sealed."""

from collections.abc import AsyncIterator

import pytest
from payments.ledger.v1.integrity_pb2 import IntegrityFindingKind as Kind
from payments.ledger.v1.integrity_pb2 import IntegrityState as State
from payments.ledger.v1.integrity_pb2 import IntegrityVerdict

from services.kernel.errors import FailedPrecondition, NotFound
from services.runtime.database import Connection
from services.runtime.migrate import migrate
from services.runtime.rpc import typed_errors
from tests.ledger.conftest import LedgerUnderTest, open_ledger
from tests.ledger.messages import sale
from tests.ledger.sealing import seal_all, verify

_DELETE_WITH_ROWS = """
with block as (
    delete from ledger.blocks where number <= {last} returning *
), header as (
    delete from ledger.ledger_transactions as header using block
     where header.epoch = block.epoch
       and header.written_in >= block.from_xid and header.written_in < block.below_xid
    returning header.id
)
delete from ledger.ledger_entries as entry using header where entry.transaction_id = header.id
"""
_FORGE_EPOCH = """
with header as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count, epoch)
    select gen_random_uuid(), 'forged', 'forged', sha256('forged'), 2, 99
    returning id
)
insert into ledger.ledger_entries (transaction_id, leg, account, amount, currency)
select id, leg, account, amount, 'USD'
  from header, (values (1, 'CUSTOMER', -7), (2, 'THIEF', 7)) as forged (leg, account, amount)
"""


@pytest.fixture
async def aged(ledger: LedgerUnderTest, intruder: Connection) -> LedgerUnderTest:
    """Twelve transactions of ten minutes ago in three blocks."""
    for number in range(12):
        await ledger.stub.PostTransaction(sale(f"k{number}"))
    await _age(intruder)
    assert await seal_all(ledger) == 3
    return ledger


@pytest.fixture
async def newcomer(aged: LedgerUnderTest, application_url: str) -> AsyncIterator[LedgerUnderTest]:
    """A process that started afterwards, and has seen no block yet."""
    assert aged
    async with open_ledger(application_url) as opened:
        yield opened


async def _age(owner: Connection) -> None:
    await owner.execute(
        "update ledger.ledger_transactions set created_at = created_at - interval '10 minutes'"
    )


def _told(verdict: IntegrityVerdict) -> list[str]:
    return [
        f"{Kind.Name(finding.kind).removeprefix('INTEGRITY_FINDING_KIND_')}"
        f" {finding.block_number}: {finding.message}"
        for finding in verdict.findings
    ]


@pytest.mark.parametrize("last", [1, 2])
async def test_the_oldest_blocks_deleted_with_their_rows_are_missed(
    newcomer: LedgerUnderTest, intruder: Connection, last: int
) -> None:
    await intruder.execute(_DELETE_WITH_ROWS.format(last=last))
    verdict = await verify(newcomer)
    assert verdict.state == State.INTEGRITY_STATE_TAMPERED
    assert _told(verdict) == [
        f"CHAIN_BROKEN {last + 1}: block {last}, to which it was chained, is missing"
    ]


async def test_all_blocks_deleted_leave_transactions_that_should_be_sealed(
    newcomer: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute("delete from ledger.blocks")
    verdict = await verify(newcomer)
    assert verdict.state == State.INTEGRITY_STATE_UNSEALED
    assert verdict.transactions_unsealed == 12
    (told,) = _told(verdict)
    assert told.startswith("UNSEALED 0: 12 transactions, the oldest written 20")
    assert "their blocks were deleted" in told


async def test_the_newest_block_deleted_leaves_transactions_that_should_be_sealed(
    newcomer: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute("delete from ledger.blocks where number = 3")
    verdict = await verify(newcomer)
    assert verdict.state == State.INTEGRITY_STATE_UNSEALED
    (told,) = _told(verdict)
    assert told.startswith("UNSEALED 0: 2 transactions, ")
    oldest_at = await newcomer.count(
        "select extract(epoch from created_at)::bigint from ledger.ledger_transactions"
        " where idempotency_key = 'k10'"
    )
    assert await newcomer.count(
        "select extract(epoch from $1::text::timestamptz)::bigint",
        told.partition("written ")[2].partition(" UTC")[0] + "Z",
    ) == pytest.approx(oldest_at, abs=1)


async def test_a_ledger_that_nobody_seals_is_told_from_a_tampered_one(
    ledger: LedgerUnderTest, intruder: Connection
) -> None:
    await ledger.stub.PostTransaction(sale("nobody seals me"))
    assert (await verify(ledger)).state == State.INTEGRITY_STATE_INTACT
    await _age(intruder)
    assert (await verify(ledger)).state == State.INTEGRITY_STATE_UNSEALED
    await seal_all(ledger)
    assert (await verify(ledger)).state == State.INTEGRITY_STATE_INTACT


@pytest.mark.parametrize(
    "deed",
    [
        "delete from ledger.blocks where number = 3",
        "delete from ledger.blocks",
        _DELETE_WITH_ROWS.format(last=3),
    ],
)
async def test_who_has_sealed_misses_the_newest_block_and_does_not_seal_it_anew(
    aged: LedgerUnderTest, intruder: Connection, deed: str
) -> None:
    await intruder.execute(deed)
    with pytest.raises(FailedPrecondition, match=r"ledger block 3 of hash .* is gone"):
        await aged.seals.seal_next()
    verdict = await verify(aged)
    assert verdict.state == State.INTEGRITY_STATE_TAMPERED
    assert any(told.startswith("CHAIN_BROKEN 3: a block of hash") for told in _told(verdict))


async def test_a_block_made_anew_in_place_of_one_that_was_seen_is_found(
    aged: LedgerUnderTest, newcomer: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute("delete from ledger.blocks where number = 3")
    assert await seal_all(newcomer) == 1
    assert not (await verify(newcomer)).findings
    assert _told(await verify(aged))[0].startswith("CHAIN_BROKEN 3: a block of hash")


@pytest.mark.parametrize(
    ("gone", "from_block", "told"),
    [
        (1, 2, "CHAIN_BROKEN 2: block 1, to which it was chained, is missing"),
        (2, 2, "CHAIN_BROKEN 3: block 2 is missing"),
    ],
)
async def test_a_verification_from_a_block_on_misses_that_block_and_the_one_before(
    newcomer: LedgerUnderTest, intruder: Connection, gone: int, from_block: int, told: str
) -> None:
    await intruder.execute("delete from ledger.blocks where number = $1", gone)
    assert _told(await verify(newcomer, from_block))[0] == told


@pytest.mark.parametrize("number", [4, 2**63 - 1])
async def test_a_block_that_never_was_is_not_found_and_no_sign_of_tampering(
    aged: LedgerUnderTest, number: int
) -> None:
    with pytest.raises(NotFound, match=f"there is no block {number}, nor any after it"):
        await _verify_from(aged, number)


async def test_a_block_that_was_seen_and_is_gone_is_no_block_that_never_was(
    aged: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute("delete from ledger.blocks where number = 3")
    verdict = await verify(aged, from_block=3)
    assert verdict.state == State.INTEGRITY_STATE_TAMPERED
    assert _told(verdict)[0].startswith("CHAIN_BROKEN 3: a block of hash")


async def _verify_from(ledger: LedgerUnderTest, number: int) -> None:
    with typed_errors():
        await verify(ledger, number)


async def test_a_row_forged_into_an_epoch_to_come_does_not_stop_the_sealer(
    aged: LedgerUnderTest, intruder: Connection
) -> None:
    await intruder.execute(_FORGE_EPOCH)
    await _age(intruder)
    assert await aged.seals.seal_next() is None
    await aged.stub.PostTransaction(sale("honest"))
    assert await seal_all(aged) == 1
    assert (await verify(aged)).transactions_unsealed == 1


async def test_blocks_of_the_former_digest_are_sealed_anew_by_migrating(
    newcomer: LedgerUnderTest, intruder: Connection, owner_url: str, application_url: str
) -> None:
    await intruder.execute("update ledger.blocks set digest = sha256('as it was before')")
    await intruder.execute(
        "update migrations.alembic_version set version_num = 'ledger_0002'"
        " where version_num = 'ledger_0003'"
    )
    await migrate(owner_url=owner_url, application_url=application_url)
    assert await seal_all(newcomer) == 3
    assert not (await verify(newcomer)).findings
