"""Callers: each pays, does what people do with payments, and repeats a call until it is answered.

What they are told is kept: an answer must never be another one later, and what it says was done
must be there in the end.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from grpc.aio import Channel
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState

from services.kernel.context import (
    CaptureMethod,
    PaymentInstrument,
    PaymentMethod,
    SplitPolicy,
    StepPreference,
)
from services.kernel.errors import (
    DeadlineExceeded,
    InFlight,
    Reason,
    ResourceExhausted,
    SwitchyardError,
    Unavailable,
)
from services.runtime.rpc import typed_errors
from tests.orchestrator.orders import about, execution
from tests.plan_builder.orders import money
from tests.torture.told import A, Told

GOOD: Final = "pm_card_visa"
BAD: Final = "pm_card_visa_chargeDeclined"
DISPUTED: Final = "pm_card_createDispute"
CHALLENGED: Final = "pm_card_threeDSecure2Required"

_BACK: Final = "https://shop.test/back"
_CALL_SECONDS: Final = 8.0
_PAUSE_SECONDS: Final = 0.05
_LOOKS_MAX: Final = 50
_REPEATS: Final = 0.15
_GIVEN_UP: Final = 0.4
# What may be refused, though a payment is changed by one caller alone.
_REFUSALS: Final[Mapping[str, frozenset[Reason]]] = {
    "create": frozenset(),
    "authorize": frozenset(),
    "capture": frozenset({Reason.PAYMENT_IN_DOUBT}),
    "void": frozenset({Reason.PAYMENT_IN_DOUBT}),
    "withdraw": frozenset({Reason.PAYMENT_IN_DOUBT, Reason.ILLEGAL_STATE_TRANSITION}),
    "refund": frozenset({Reason.ALREADY_REFUNDED, Reason.REFUND_HEADROOM_EXCEEDED}),
}
_PASSING: Final = (Unavailable, InFlight, DeadlineExceeded, ResourceExhausted)


T = TypeVar("T")


class Crew(Protocol):
    """Who says whom to call."""

    async def any(self, operation: str = "") -> Channel: ...


Authenticate = Callable[[str], Awaitable[None]]
"""What a customer does who is sent to the bank's page."""


class Caller:
    """One of those who pay, one payment after another."""

    def __init__(
        self,
        name: str,
        crew: Crew,
        told: Told,
        chance: random.Random,
        *,
        processors: Sequence[str],
        authenticate: Authenticate,
    ) -> None:
        self._name = name
        self._crew = crew
        self._told = told
        self._chance = chance
        self._processors = processors
        self._authenticate = authenticate
        self._keys = 0

    async def pay_until(self, over: asyncio.Event) -> None:
        """Begin another payment until it is over; what was begun is brought to its end."""
        ways = (
            *(self._automatic, self._intent, self._split, self._challenged),
            # Captures and voids of their own are what manual payments alone have.
            *(self._manual,) * 4,
        )
        while not over.is_set():
            await self._chance.choice(ways)()

    async def _automatic(self) -> None:
        payment = await self._execute(card=self._card())
        await self._refund(payment)

    async def _manual(self) -> None:
        payment = await self._execute(card=self._card(), capture_method=CaptureMethod.MANUAL)
        if self._chance.random() < 0.5:
            await self._void(payment)
        else:
            await self._capture(payment)

    async def _challenged(self) -> None:
        """The customer's bank wants to see the customer; what comes of it is told by a webhook."""
        payment = await self._execute(card=CHALLENGED, return_url=_BACK)
        if payment is None or payment.state != PaymentState.PAYMENT_STATE_CONFIRMING:
            return
        if page := await self._page_of(payment):
            is_given_up = self._chance.random() < _GIVEN_UP
            await asyncio.gather(
                self._authenticate(page), *([self._withdraw(payment)] if is_given_up else [])
            )
        await self._refund(await self._decided(payment.id))

    async def _page_of(self, payment: Payment) -> str:
        """Where the customer is to go; while the processor's answer is in doubt, nobody knows."""
        request = pb.GetPaymentRequest(payment_id=payment.id)
        for _ in range(_LOOKS_MAX):
            if page := payment.next_action.redirect.redirect_url:
                return page
            await asyncio.sleep(_PAUSE_SECONDS)
            found = await self._once(lambda stub: stub.GetPayment(request), "")
            payment = payment if found is None else found.payment
        return ""

    async def _withdraw(self, payment: Payment) -> None:
        """The merchant gives up while the customer is at the bank: whoever is first is right."""
        request = pb.VoidPaymentRequest(**about(payment, self._key("withdraw")))
        await self._answered("withdraw", lambda stub: stub.VoidPayment(request))

    async def _split(self) -> None:
        amount_minor = self._amount_minor()
        first = PaymentInstrument(PaymentMethod.CARD, GOOD)
        second = PaymentInstrument(PaymentMethod.CARD, self._card())
        payment = await self._execute(
            amount_minor=amount_minor,
            steps=(
                StepPreference(first, money(amount_minor // 2)),
                StepPreference(second, None),
            ),
            split_policy=self._chance.choice(list(SplitPolicy)),
            capture_method=self._chance.choice(list(CaptureMethod)),
        )
        if payment is not None and payment.state == PaymentState.PAYMENT_STATE_AUTHORIZED:
            await self._capture(payment)
        else:
            await self._refund(payment)

    async def _intent(self) -> None:
        key = self._key("create")
        wanted = execution(
            key,
            amount_minor=self._amount_minor(),
            card=self._card(),
            processors=self._processors,
            user_id=key,
        )
        request = pb.CreatePaymentRequest(idempotency_key=key, context=wanted.context)
        created = await self._answered("create", lambda stub: stub.CreatePayment(request))
        if created is None:
            return
        mode = self._chance.choice((pb.RESPONSE_MODE_WAIT, pb.RESPONSE_MODE_ASYNC))
        confirmation = pb.ConfirmPaymentRequest(
            **about(created.payment, self._key("confirm")), response_mode=mode
        )
        await self._answered("authorize", lambda stub: stub.ConfirmPayment(confirmation))
        await self._refund(await self._decided(created.payment.id))

    async def _execute(self, **changed: Any) -> Payment | None:
        key = self._key("pay")
        request = execution(
            key,
            **{
                "amount_minor": self._amount_minor(),
                "processors": self._processors,
                # Each of another user, since a user has only so many attempts an hour.
                "user_id": key,
                **changed,
            },
        )
        answer = await self._answered("authorize", lambda stub: stub.ExecutePlan(request))
        return None if answer is None else answer.payment

    async def _capture(self, payment: Payment | None) -> None:
        if payment is None or payment.state != PaymentState.PAYMENT_STATE_AUTHORIZED:
            return
        request = pb.CapturePaymentRequest(**about(payment, self._key("capture")))
        if self._chance.random() < 0.5:
            self._ask_a_part(request, payment.amount_authorized.amount_minor)
        answer = await self._answered("capture", lambda stub: stub.CapturePayment(request))
        await self._refund(None if answer is None else answer.payment)

    async def _void(self, payment: Payment | None) -> None:
        if payment is None or payment.state != PaymentState.PAYMENT_STATE_AUTHORIZED:
            return
        request = pb.VoidPaymentRequest(**about(payment, self._key("void")))
        await self._answered("void", lambda stub: stub.VoidPayment(request))

    async def _refund(self, payment: Payment | None) -> None:
        """Ask for parts, for all, or for more than there is; what is refused is a fine answer."""
        if payment is None or payment.state != PaymentState.PAYMENT_STATE_CAPTURED:
            return
        for _ in range(self._chance.randrange(3)):
            await self._refund_once(payment)

    async def _refund_once(self, payment: Payment) -> None:
        request = pb.RefundPaymentRequest(**about(payment, self._key("refund")))
        if self._chance.random() < 0.7:
            self._ask_a_part(request, payment.amount_captured.amount_minor)
        await self._answered("refund", lambda stub: stub.RefundPayment(request))

    def _ask_a_part(
        self, request: pb.CapturePaymentRequest | pb.RefundPaymentRequest, most_minor: int
    ) -> None:
        request.amount.amount_minor = self._chance.randint(1, max(1, most_minor))
        request.amount.currency = "USD"

    async def _decided(self, payment_id: str) -> Payment | None:
        """The payment once it is confirmed one way or the other; None if that takes long."""
        request = pb.GetPaymentRequest(payment_id=payment_id)
        for _ in range(_LOOKS_MAX):
            found = await self._once(lambda stub: stub.GetPayment(request), "")
            if found is not None and found.payment.state != PaymentState.PAYMENT_STATE_CONFIRMING:
                return found.payment
            await asyncio.sleep(_PAUSE_SECONDS)
        return None

    async def _answered(
        self, operation: str, call: Callable[[OrchestratorServiceStub], Awaitable[A]]
    ) -> A | None:
        """Call under the same key until there is an answer; None when it is a refusal."""
        answer = await self._insist(operation, call)
        if answer is None:
            return None
        self._told.note(operation, answer)
        if self._chance.random() < _REPEATS:
            again = await self._insist(operation, call)
            if again is None or not again.replayed or again.payment != answer.payment:
                self._told.problems.append(
                    f"{operation} of {answer.payment.id} was answered otherwise the second time"
                )
        return answer

    async def _insist(
        self, operation: str, call: Callable[[OrchestratorServiceStub], Awaitable[A]]
    ) -> A | None:
        while True:
            try:
                answer = await self._once(call, operation)
            except SwitchyardError as error:
                self._told.calls[f"{operation} refused: {error.reason}"] += 1
                if error.reason not in _REFUSALS[operation]:
                    self._told.problems.append(f"{operation}: {error.reason}: {error.message}")
                return None
            if answer is not None:
                return answer
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _once(
        self, call: Callable[[OrchestratorServiceStub], Awaitable[T]], operation: str
    ) -> T | None:
        """Call somebody; None where it has to be tried again."""
        channel = await self._crew.any(operation)
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                with typed_errors():
                    return await call(OrchestratorServiceStub(channel))
        except (*_PASSING, TimeoutError):
            return None

    def _key(self, what: str) -> str:
        self._keys += 1
        return f"{self._name}-{self._keys}-{what}"

    def _card(self) -> str:
        (card,) = self._chance.choices((GOOD, BAD, DISPUTED), weights=(65, 15, 20))
        return card

    def _amount_minor(self) -> int:
        return self._chance.randint(200, 20_000)
