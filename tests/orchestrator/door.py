"""The door for processor events as the webhook service comes to it, and payments to tell of."""

import asyncio
from typing import Any

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.processor.v1 import processor_event_pb2
from payments.processor.v1.processor_event_pb2 import ProcessorEvent

from services.kernel.ids import AttemptId, WebhookEventId
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import execution, succeeded

AUTHORIZE = Operation.OPERATION_AUTHORIZE


def telling(kind: str, number: int, **said: Any) -> pb.ApplyProcessorEventRequest:
    """What the webhook service sends of event `evt_<number>`, about the hold `pi_1`."""
    event = ProcessorEvent(
        **{
            "id": f"evt_{number}",
            "processor_id": "simulated",
            "type": processor_event_pb2.ProcessorEventType.Value(f"PROCESSOR_EVENT_TYPE_{kind}"),
            "native_type": kind.lower(),
            "processor_reference": "pi_1",
            "object_id": "pi_1",
            **said,
        }
    )
    event.occurred_at.FromJsonString("2026-01-02T03:04:05Z")
    return pb.ApplyProcessorEventRequest(
        idempotency_key=f"evt_{number}", event=event, webhook_event_id=WebhookEventId.new()
    )


async def tell(house: House, request: pb.ApplyProcessorEventRequest) -> Any:
    """Tell it as the webhook service does."""
    return await house.stub.ApplyProcessorEvent(request)


async def attempt_id_in(house: House) -> str:
    """The only attempt's id, once it is committed."""
    async with asyncio.timeout(20):
        while True:
            rows = await house.rows("select id from payments.attempts")
            if rows:
                return AttemptId.of_hex(rows[0]["id"].hex)
            await asyncio.sleep(0.01)


async def captured(scripted: ScriptedHouse) -> Payment:
    """A payment of 100.00 USD that was held as `pi_1` and taken."""
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"))
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    return payment
