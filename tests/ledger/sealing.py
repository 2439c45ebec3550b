"""Sealing and verifying, as tests of tamper evidence ask for them."""

import asyncio
import time

from payments.ledger.v1.integrity_pb2 import IntegrityVerdict
from payments.ledger.v1.ledger_service_pb2 import VerifyIntegrityRequest

from tests.ledger.conftest import LedgerUnderTest

_UNFINISHED = """
select count(*) from ledger.ledger_transactions
 where epoch = (select max(epoch) from ledger.epochs)
   and written_in >= pg_snapshot_xmin(pg_current_snapshot())
"""


async def verify(
    ledger: LedgerUnderTest, from_block: int = 0, from_epoch: int = 0
) -> IntegrityVerdict:
    reports = [
        report
        async for report in ledger.stub.VerifyIntegrity(
            VerifyIntegrityRequest(from_block_number=from_block, from_epoch=from_epoch)
        )
    ]
    assert all(report.HasField("progress") for report in reports[:-1])
    return reports[-1].verdict


async def seal_all(ledger: LedgerUnderTest) -> int:
    """Seal until nothing is left; returns how many blocks that made."""
    deadline = time.monotonic() + 60
    # The server's own vacuum may have a transaction open, below which nothing is sealed.
    while await ledger.count(_UNFINISHED):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    blocks = 0
    while await ledger.seals.seal_next():
        blocks += 1
    return blocks
