"""A house that has traded with the sandbox as its processor, for the oracle to be asked about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb

from oracle import Bounds, Record, Report, consult, read_sandbox
from sandbox.server import Options, Sandbox
from services.kernel.clock import SystemClock
from services.kernel.context import CaptureMethod
from services.processor.rpc import ProcessorServicer
from services.processor.service.processors import Processors
from services.runtime.database import Connection
from tests.conftest import DatabaseUrls
from tests.orchestrator.conftest import House, running_house
from tests.orchestrator.orders import execution
from tests.plan_builder.orders import MERCHANT, ability, config
from tests.processor.conftest import opened

_KEYS = {"stripe": "sk_test_merchant"}
NO_PATIENCE = Bounds(work=timedelta(0))


@asynccontextmanager
async def _house(url: str, folder: Path) -> AsyncIterator[tuple[House, str]]:
    sandbox = await Sandbox.start(Options(data=folder, port=0, seed=7))
    base_url = f"http://127.0.0.1:{sandbox.http.port}"
    processors = Processors([opened("stripe", base_url)], SystemClock())
    try:
        async with running_house(url, ProcessorServicer(processors)) as house:
            yield house, base_url
    finally:
        await processors.close()
        await sandbox.close()


async def _trade(house: House) -> None:
    """One refunded in part, one that is held, one let go, one by an intent, and one declined."""
    processors = ("stripe",)
    paid = await house.execute(execution("paid", processors=processors))
    refund = pb.RefundPaymentRequest(
        idempotency_key="refund", merchant_id=MERCHANT, payment_id=paid.id
    )
    refund.amount.amount_minor, refund.amount.currency = 1_000, "USD"
    await house.stub.RefundPayment(refund)
    manual = CaptureMethod.MANUAL
    await house.execute(execution("held", processors=processors, capture_method=manual))
    held = await house.execute(execution("let go", processors=processors, capture_method=manual))
    await house.stub.VoidPayment(
        pb.VoidPaymentRequest(idempotency_key="void", merchant_id=MERCHANT, payment_id=held.id)
    )
    house.planner.config = config("stripe")
    house.planner.catalogue = {"stripe": ability("stripe")}
    context = execution("intent").context
    intent = await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key="intent", context=context)
    )
    await house.stub.ConfirmPayment(
        pb.ConfirmPaymentRequest(
            idempotency_key="confirm",
            merchant_id=MERCHANT,
            payment_id=intent.payment.id,
            response_mode=pb.RESPONSE_MODE_WAIT,
        )
    )
    declined = "pm_card_visa_chargeDeclined"
    await house.execute(execution("declined", processors=processors, card=declined))


async def _settled(connection: Connection, record: Record) -> Report:
    """What the oracle says with no patience left, once it has nothing more to say."""
    report = await consult(connection, record, bounds=NO_PATIENCE)
    for _ in range(200):
        if report.is_clean:
            break
        await connection.fetchval("select pg_sleep(0.05)")
        report = await consult(connection, record, bounds=NO_PATIENCE)
    return report


_TABLES = (
    *(
        f"payments.{name}"
        for name in (
            "payments",
            "steps",
            "attempts",
            "postings",
            "refunds",
            "refund_parts",
            "transitions",
            "idempotency",
        )
    ),
    "ledger.ledger_transactions",
    "ledger.ledger_entries",
)


@dataclass(frozen=True)
class Market:
    """A house that has traded, what its processor says, and its database's owner."""

    house: House
    record: Record
    owner: Connection
    urls: DatabaseUrls


@pytest.fixture
async def market(database_urls: DatabaseUrls, short_tmp_path: Path) -> AsyncIterator[Market]:
    async with _house(database_urls.application, short_tmp_path) as (house, base_url):
        await _trade(house)
        owner = await asyncpg.connect(database_urls.owner)
        record = await read_sandbox(base_url, _KEYS)
        report = await _settled(owner, record)
        assert report.is_clean, report
        yield Market(house, record, owner, database_urls)
        await owner.close()


async def unguarded(owner: Connection, statement: str) -> None:
    """Write past the guards that would refuse it, as only their owner can."""
    for table in _TABLES:
        await owner.execute(f"alter table {table} disable trigger user")
    await owner.execute(statement)
