"""A processor under test behind its gRPC door, with hands to make the outside world misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from payments.core.v1 import money_pb2, operation_pb2, payment_method_pb2
from payments.core.v1.error_code_pb2 import ErrorCode
from payments.processor.v1 import attempt_pb2, processor_event_pb2
from payments.processor.v1 import processor_service_pb2 as pb
from payments.processor.v1.processor_service_pb2_grpc import ProcessorServiceStub
from payments.result.v1 import result_pb2

from services.kernel.ids import AttemptId, MerchantId, PaymentId, RefundId, StepId

Strike = Callable[..., Awaitable[None]]

_METHODS = {
    "card": payment_method_pb2.PAYMENT_METHOD_CARD,
    "apple_pay": payment_method_pb2.PAYMENT_METHOD_APPLE_PAY,
}
# What the processor tells of an operation that it has carried out.
FACTS = {
    "authorize": "AUTHORIZED",
    "charge": "CAPTURED",
    "capture": "CAPTURED",
    "void": "CANCELED",
    "refund": "REFUND_SUCCEEDED",
}


@dataclass
class House:
    """One processor, and one payment at it at a time."""

    stub: ProcessorServiceStub
    processor_id: str
    method: str = "card"
    strike: Strike | None = None
    """`await strike(operation, fault, count)`: the next requests of it fail so."""
    timeout_seconds: float = 30
    event_delay_seconds: float = 0
    """How long after it happened an event may be missing from the list."""
    opened_at: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(seconds=5))
    payment_id: PaymentId = field(default_factory=PaymentId.new)
    merchant_id: MerchantId = field(default_factory=MerchantId.new)
    step_id: StepId = field(default_factory=StepId.new)

    def attempt(
        self,
        operation: str,
        amount_minor: int = 1250,
        *,
        currency: str = "USD",
        card: str = "pm_card_visa",
        hold: str = "",
        key_expires_in: timedelta = timedelta(hours=24),
        **more: Any,
    ) -> attempt_pb2.Attempt:
        """A new attempt, not carried out yet; to charge is to take the amount with its hold."""
        if operation == "charge":
            return self.attempt(
                "authorize", amount_minor, currency=currency, card=card, capture_at_once=True,
                key_expires_in=key_expires_in, **more,
            )  # fmt: skip
        message = attempt_pb2.Attempt(
            id=AttemptId.new(),
            payment_id=self.payment_id,
            step_id=self.step_id,
            merchant_id=self.merchant_id,
            processor_id=self.processor_id,
            operation=operation_pb2.Operation.Value(f"OPERATION_{operation.upper()}"),
            amount=money_pb2.Money(amount_minor=amount_minor, currency=currency),
            processor_reference=hold,
            **more,
        )
        if operation == "authorize":
            message.instrument.method = _METHODS[self.method]
            message.instrument.token = self.wallet_token(card)
            message.return_url = message.return_url or "https://shop.test/back"
        if operation == "refund" and not message.refund_id:
            message.refund_id = RefundId.new()
        message.created_at.FromDatetime(datetime.now(UTC))
        message.key_expires_at.FromDatetime(datetime.now(UTC) + key_expires_in)
        return message

    def wallet_token(self, card: str) -> str:
        """The card as the method presents it: a wallet hands over a one-time token."""
        return card.replace("pm_card_", "tok_applePay_") if self.method == "apple_pay" else card

    async def send(
        self, attempt: attempt_pb2.Attempt, *, timeout_seconds: float | None = None
    ) -> result_pb2.Result:
        """Carry the attempt out, under the key that it always has."""
        name = operation_pb2.Operation.Name(attempt.operation).removeprefix("OPERATION_").title()
        request: Any = getattr(pb, f"{name}Request")(attempt=attempt, idempotency_key=attempt.id)
        response = await getattr(self.stub, name)(
            request, timeout=timeout_seconds or self.timeout_seconds
        )
        result: result_pb2.Result = response.result
        return result

    async def lookup(
        self, attempt: attempt_pb2.Attempt, *, timeout_seconds: float | None = None
    ) -> result_pb2.Result:
        """Ask what became of it."""
        request = pb.LookupRequest(attempt=attempt, idempotency_key=attempt.id)
        response = await self.stub.Lookup(request, timeout=timeout_seconds or self.timeout_seconds)
        return response.result

    async def settled(self, attempt: attempt_pb2.Attempt) -> result_pb2.Result:
        """What became of what was pending, once it no longer is."""
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            found = await self.lookup(attempt)
            if outcome(found) != "PENDING" or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(0.2)

    async def hold(self, amount_minor: int = 1250, **more: Any) -> str:
        """An amount that is held; returns the processor's reference."""
        result = await self.send(self.attempt("authorize", amount_minor, **more))
        assert outcome(result) == "SUCCEEDED", result
        return result.processor_reference

    async def captured(self, amount_minor: int = 1250, **more: Any) -> str:
        """An amount that was taken."""
        reference = await self.hold(amount_minor, **more)
        currency = more.get("currency", "USD")
        capture = self.attempt("capture", amount_minor, currency=currency, hold=reference)
        assert outcome(await self.send(capture)) == "SUCCEEDED"
        return reference

    async def prepared(self, operation: str) -> attempt_pb2.Attempt:
        """An attempt that would succeed: with a hold to capture or void, a capture to refund."""
        match operation:
            case "authorize" | "charge":
                return self.attempt(operation)
            case "refund":
                return self.attempt("refund", 500, hold=await self.captured())
            case _:
                return self.attempt(operation, hold=await self.hold())

    async def events(self, **request: Any) -> list[processor_event_pb2.ProcessorEvent]:
        """The processor's events since the test began, page by page."""
        await asyncio.sleep(self.event_delay_seconds)
        request = {"occurred_from": self.opened_at} | request
        found: list[processor_event_pb2.ProcessorEvent] = []
        token = ""
        while True:
            page = await self.stub.ListEvents(
                pb.ListEventsRequest(processor_id=self.processor_id, page_token=token, **request),
                timeout=self.timeout_seconds,
            )
            found += page.events
            token = page.next_page_token
            if not token:
                return found


def outcome(result: result_pb2.Result) -> str:
    return result_pb2.Outcome.Name(result.outcome).removeprefix("OUTCOME_")


def error_code(result: result_pb2.Result | processor_event_pb2.ProcessorEvent) -> str:
    return ErrorCode.Name(result.error_code).removeprefix("ERROR_CODE_")


def event_type(event: processor_event_pb2.ProcessorEvent) -> str:
    name = processor_event_pb2.ProcessorEventType.Name(event.type)
    return name.removeprefix("PROCESSOR_EVENT_TYPE_")


async def times(house: House, fact: str, attempt_id: str, about: str = "") -> int:
    """How often the processor says that it did this."""
    events = await house.events(page_size=100)
    return sum(
        event_type(event) == fact
        and (event.attempt_id == attempt_id or (bool(about) and event.object_id == about))
        for event in events
    )
