"""A process that begins one payment, and says so when its processor is about to be asked."""

import asyncio
import sys

from services.kernel.clock import SystemClock
from services.kernel.context import CoreRequestContext
from services.kernel.ids import MerchantId
from services.orchestrator.domain.attempt import Execution, Order
from services.orchestrator.domain.command import ResponseMode
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.policy import Policy
from services.orchestrator.service.desks import Callers, Desks
from services.orchestrator.service.enforcing import PaymentPolicyEnforcer
from services.orchestrator.service.means import Means
from services.orchestrator.service.orchestrator import Orchestrator
from services.orchestrator.store.payments import Payments
from services.orchestrator.store.postings import Postings
from services.orchestrator.translate.calls import order_from_request
from services.orchestrator.translate.codec import PaymentCodec, describe
from services.orchestrator.workers import Tasks
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

    async def look_up(self, order: Order) -> Execution:
        return await self.execute(order)


class _NoPlanner:
    """Nothing is confirmed here."""

    async def plan(self, request: CoreRequestContext) -> Plan:
        raise AssertionError("nothing is confirmed here")


class _NoConfiguration:
    """The merchant has none."""

    async def policy(self, merchant_id: MerchantId) -> Policy:
        return Policy()


async def main(url: str) -> None:
    database = await Database.connect(url, application_name="killed")
    clock = SystemClock()
    payments = Payments(database, PaymentCodec(), Postings(database))
    callers = Callers()
    means = Means(payments, _RouterThatWaits(), describe, clock, callers.tell)
    desks = Desks(means, Tasks(Telemetry.create("killed").tracing), callers)
    orchestrator = Orchestrator(
        payments, desks, _NoPlanner(), PaymentPolicyEnforcer(_NoConfiguration()), clock
    )
    await orchestrator.execute_plan(*order_from_request(execution()), ResponseMode.WAIT)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
