"""What callers ask of the orchestrator, and the ports it needs for that."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from services.kernel.clock import Clock
from services.kernel.context import CoreRequestContext, PaymentInstrument
from services.kernel.errors import FieldViolation, InvalidArgument, NotFound, SwitchyardError
from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId
from services.kernel.money import Money
from services.orchestrator.domain import command as commands
from services.orchestrator.domain.attempt import Evidence
from services.orchestrator.domain.command import (
    Answer,
    Command,
    KeyRecord,
    Order,
    ResponseMode,
    judge,
)
from services.orchestrator.domain.listing import PaymentFilter
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.quota import Draws
from services.orchestrator.service.change import Apply, Change
from services.orchestrator.service.desks import Desks


class Payments(Protocol):
    """Where payments are kept, to be read."""

    async def find(self, payment_id: PaymentId) -> Payment | None: ...

    async def find_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None: ...

    async def list_payments(
        self, wanted: PaymentFilter, after: PaymentId | None, limit: int
    ) -> Sequence[Payment]: ...


class Planner(Protocol):
    """PlanBuilderService."""

    async def plan(self, request: CoreRequestContext) -> Plan: ...


class Enforcer(Protocol):
    """Who says what a payment counts for, and raises what forbids it."""

    async def admit_creation(self, request: CoreRequestContext) -> Draws: ...

    async def admit_execution(self, request: CoreRequestContext, plan: Plan) -> Draws: ...


class Orchestrator:
    """Creates payments, has them carried out, and shows them."""

    def __init__(
        self,
        payments: Payments,
        desks: Desks,
        planner: Planner,
        enforcer: Enforcer,
        clock: Clock,
    ) -> None:
        self._payments = payments
        self._desks = desks
        self._planner = planner
        self._enforcer = enforcer
        self._clock = clock

    async def create(self, request: CoreRequestContext) -> Answer:
        """Make a payment that is wanted, and do nothing for it yet."""
        payment = Payment.create(request, self._clock.now())
        command = commands.create_payment(request)
        admission = self._enforcer.admit_creation(request)
        return await self._begin(payment, command, admission, drives=False, at_once=True)

    async def execute_plan(
        self, request: CoreRequestContext, plan: Plan, mode: ResponseMode
    ) -> Answer:
        """Create a payment, confirm it and carry its plan out; a repeat gets the same answer."""
        now = self._clock.now()
        payment = Payment.create(request, now)
        payment.confirm(plan, now)
        command = commands.execute_plan(request)
        admission = self._enforcer.admit_execution(request, plan)
        at_once = mode is ResponseMode.ASYNC
        return await self._begin(payment, command, admission, drives=True, at_once=at_once)

    async def repeat(self, request: CoreRequestContext) -> Answer:
        """What a request was answered when it was carried out, for one that has no plan today."""
        standing = await self._standing(commands.execute_plan(request))
        if standing is None:
            problem = "is needed to carry a request out that was not carried out before"
            violation = FieldViolation("plan", "plan.present", problem)
            raise InvalidArgument(f"plan: {problem}", violations=[violation])
        return standing

    async def confirm(
        self,
        order: Order,
        instrument: PaymentInstrument | None,
        return_url: str | None,
        mode: ResponseMode,
    ) -> Answer:
        """Set a payment going, or go on with one whose customer has acted."""
        command = order.command(
            commands.CONFIRM_PAYMENT, instrument=instrument, return_url=return_url
        )
        payment = await self.get(order.payment_id, order.merchant_id)
        plan: Plan | None = None
        draws: Draws = ()
        if payment.is_unplanned:
            payment.pay_with(instrument, return_url)
            plan = await self._planner.plan(payment.request)
            draws = await self._enforcer.admit_execution(payment.request, plan)

        def apply(payment: Payment) -> None:
            payment.check_version(order.expected_version)
            now = self._clock.now()
            if plan is None:
                payment.customer_acted(now)
                return
            payment.pay_with(instrument, return_url)
            payment.confirm(plan, now)
            payment.hand_over(now)

        # An order to a worker is not carried out here, unless it is this process that takes it up.
        at_once = mode is ResponseMode.ASYNC
        change = Change(apply, draws=draws, drives=plan is None, answers_at_once=at_once)
        return await self._desks.order(order.payment_id, command, change)

    async def capture(self, order: Order, amount: Money | None) -> Answer:
        """Take what is held, or a part of it."""

        def apply(payment: Payment) -> None:
            payment.capture(amount, self._clock.now(), order.cause)

        command = order.command(commands.CAPTURE_PAYMENT, amount=amount)
        return await self._ordered(order, command, apply)

    async def void(self, order: Order, reason: str) -> Answer:
        """Let go what is held."""

        def apply(payment: Payment) -> None:
            payment.void(self._clock.now(), order.cause)

        command = order.command(commands.VOID_PAYMENT, reason=reason or None)
        return await self._ordered(order, command, apply)

    async def refund(self, order: Order, amount: Money | None, reason: str) -> Answer:
        """Return what was taken, or a part of it."""

        def apply(payment: Payment) -> RefundId:
            now = self._clock.now()
            return payment.refund(amount, reason, order.idempotency_key, now).id

        command = order.command(commands.REFUND_PAYMENT, amount=amount, reason=reason or None)
        return await self._ordered(order, command, apply)

    async def resolve(
        self, order: Order, attempt_id: AttemptId | None, evidence: Evidence
    ) -> Answer:
        """Settle an attempt in doubt by what an operator has found out."""

        def apply(payment: Payment) -> None:
            payment.resolve(attempt_id, evidence, self._clock.now())

        command = order.command(
            commands.RESOLVE_PAYMENT,
            attempt_id=attempt_id,
            outcome=evidence.outcome,
            processor_reference=evidence.reference,
            source=evidence.source,
            operator=evidence.operator,
        )
        return await self._ordered(order, command, apply)

    async def get(self, payment_id: PaymentId, merchant_id: MerchantId | None) -> Payment:
        """One payment, if it is that merchant's."""
        payment = await self._payments.find(payment_id)
        if payment is None or merchant_id not in (None, payment.merchant_id):
            raise NotFound(f"there is no payment {payment_id}")
        return payment

    async def get_key(self, merchant_id: MerchantId, key: str) -> KeyRecord | None:
        """What became of the call that used a key."""
        return await self._payments.find_key(merchant_id, key)

    async def list_payments(
        self, wanted: PaymentFilter, after: PaymentId | None, limit: int
    ) -> tuple[Sequence[Payment], PaymentId | None]:
        """A page of payments, newest first, and after which one the next page begins."""
        found = await self._payments.list_payments(wanted, after, limit + 1)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    async def _begin(
        self,
        payment: Payment,
        command: Command,
        admission: Awaitable[Draws],
        *,
        drives: bool,
        at_once: bool,
    ) -> Answer:
        """Begin a payment that the policy admits; a repeat is answered whatever that forbids."""
        try:
            draws = await admission
        except SwitchyardError:
            standing = await self._standing(command)
            if standing is None:
                raise
            return standing
        return await self._desks.begin(payment, command, draws, drives=drives, at_once=at_once)

    async def _standing(self, command: Command) -> Answer | None:
        """What a command's key was answered; None if nothing stands under it."""
        record = await self.get_key(command.merchant_id, command.idempotency_key)
        if record is None:
            return None
        standing = judge(command, record)
        if isinstance(standing, SwitchyardError):
            raise standing from None
        return standing

    async def _ordered(self, order: Order, command: Command, apply: Apply) -> Answer:
        def checked(payment: Payment) -> RefundId | None:
            payment.check_version(order.expected_version)
            return apply(payment)

        return await self._desks.order(order.payment_id, command, Change(checked))
