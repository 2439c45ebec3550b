"""The ledger: its journal, and the sealer in the background."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.ledger.rpc import LedgerServicer
from services.ledger.service import Ledger
from services.ledger.store.journal import Journal
from services.ledger.store.seals import Seals
from services.ledger.translate import event_payload
from services.ledger.workers import sealer
from services.system.shared import System


@asynccontextmanager
async def open_ledger(system: System) -> AsyncIterator[None]:
    journal = Journal(system.database, event_payload, system.clock)
    seals = Seals(system.database)
    await seals.check_settled()
    system.registry.register(
        add_LedgerServiceServicer_to_server,
        LedgerServicer(Ledger(journal, seals)),
    )
    try:
        async with sealer(seals):
            yield
    finally:
        await journal.close()
