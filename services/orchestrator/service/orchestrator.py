"""What callers ask of the orchestrator, and the ports it needs for that."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from typing import Protocol

from services.kernel.clock import Clock
from services.kernel.context import CoreRequestContext
from services.kernel.errors import NotFound
from services.kernel.ids import MerchantId, PaymentId
from services.orchestrator.domain.command import Answer, Command, execute_plan
from services.orchestrator.domain.listing import PaymentFilter
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.record import Changes
from services.orchestrator.service.driving import Describe, Driver, Saves, Tell


class ResponseMode(Enum):
    """How long a caller wants to wait."""

    WAIT = auto()
    ASYNC = auto()


class Payments(Saves, Protocol):
    """Where payments are kept."""

    async def begin(
        self, payment: Payment, changes: Changes, command: Command, answer: Answer | None
    ) -> Answer | None:
        """Commit a new payment under its key, with the answer if that is decided already.

        Returns None when it did, and what was answered before when the same call came before.
        """
        ...

    async def find(self, payment_id: PaymentId) -> Payment | None: ...

    async def list_payments(
        self, wanted: PaymentFilter, after: PaymentId | None, limit: int
    ) -> Sequence[Payment]: ...


class Tasks(Protocol):
    """Where work goes on when the call that began it is over."""

    async def run(
        self, work: Callable[[Tell], Awaitable[None]], words: Mapping[str, str]
    ) -> Answer:
        """Run the work to its end, whoever waits, and return what it tells.

        The words are what its log lines and spans are about.
        """
        ...


class Orchestrator:
    """Creates payments, carries them out, and shows them."""

    def __init__(
        self, payments: Payments, driver: Driver, tasks: Tasks, describe: Describe, clock: Clock
    ) -> None:
        self._payments = payments
        self._driver = driver
        self._tasks = tasks
        self._describe = describe
        self._clock = clock

    async def execute_plan(
        self, request: CoreRequestContext, plan: Plan, mode: ResponseMode
    ) -> Answer:
        """Create a payment, confirm it and carry its plan out; a repeat gets the same answer."""
        now = self._clock.now()
        payment = Payment.create(request, now)
        payment.confirm(plan, now)
        carry_out = self._carry_out if mode is ResponseMode.WAIT else self._accept
        return await self._tasks.run(
            partial(carry_out, payment, execute_plan(request)),
            {
                "request_id": request.request_id,
                "merchant_id": request.merchant_id,
                "payment_id": payment.id,
            },
        )

    async def get(self, payment_id: PaymentId, merchant_id: MerchantId | None) -> Payment:
        """One payment, if it is that merchant's."""
        payment = await self._payments.find(payment_id)
        if payment is None or merchant_id not in (None, payment.merchant_id):
            raise NotFound(f"there is no payment {payment_id}")
        return payment

    async def list_payments(
        self, wanted: PaymentFilter, after: PaymentId | None, limit: int
    ) -> tuple[Sequence[Payment], PaymentId | None]:
        """A page of payments, newest first, and after which one the next page begins."""
        found = await self._payments.list_payments(wanted, after, limit + 1)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    async def _carry_out(self, payment: Payment, command: Command, tell: Tell) -> None:
        """The caller is told when the payment is decided or waits."""
        standing = await self._payments.begin(payment, payment.collect_changes(), command, None)
        if standing is not None:
            tell(standing)
            return
        await self._driver.drive(payment, command, tell)

    async def _accept(self, payment: Payment, command: Command, tell: Tell) -> None:
        """The caller is told as soon as the intention is committed."""
        answer = Answer(self._describe(payment), command.request_id)
        standing = await self._payments.begin(payment, payment.collect_changes(), command, answer)
        tell(standing or answer)
        if standing is None:
            await self._driver.drive(payment, None, tell)
