"""A process that begins one payment, and says so when its processor is about to be asked."""

import asyncio
import sys

from services.kernel.clock import SystemClock
from services.orchestrator.domain.attempt import Execution, Order
from services.orchestrator.service.driving import Driver
from services.orchestrator.service.orchestrator import Orchestrator, ResponseMode
from services.orchestrator.store.payments import Payments
from services.orchestrator.store.postings import Postings
from services.orchestrator.translate.calls import order_from_request
from services.orchestrator.translate.codec import PaymentCodec, describe
from services.orchestrator.workers import Drivers
from services.runtime.database import Database
from services.runtime.telemetry import Telemetry
from tests.orchestrator.orders import execution


class _RouterThatWaits:
    """Says which attempt it has, and then nothing."""

    async def execute(self, order: Order) -> Execution:
        sys.stdout.write(f"{order.attempt.id}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def main(url: str) -> None:
    database = await Database.connect(url, application_name="killed")
    clock = SystemClock()
    payments = Payments(database, PaymentCodec(), Postings(database))
    driver = Driver(payments, _RouterThatWaits(), describe, clock)
    drivers = Drivers(Telemetry.create("killed").tracing)
    orchestrator = Orchestrator(payments, driver, drivers, describe, clock)
    await orchestrator.execute_plan(*order_from_request(execution()), ResponseMode.WAIT)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
