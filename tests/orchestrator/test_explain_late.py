"""What a processor answers after its own webhook is in the payment's story all the same."""

import asyncio

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2 as story_pb
from payments.processor.v1.processor_event_pb2 import ProcessorEvent, ProcessorEventType
from payments.result.v1.result_pb2 import Result

from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import execution, succeeded

AUTHORIZE = Operation.OPERATION_AUTHORIZE


async def test_what_was_asked_is_told_even_if_a_webhook_was_quicker_than_the_answer(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house

    async def overtaken() -> Result:
        _, asked = scripted.processors.asked[-1]
        event = ProcessorEvent(
            id="evt_1",
            processor_id="simulated",
            type=ProcessorEventType.PROCESSOR_EVENT_TYPE_AUTHORIZED,
            native_type="payment_intent.amount_capturable_updated",
            processor_reference="pi_1",
            object_id="pi_1",
            attempt_id=asked.attempt.id,
            amount=asked.attempt.amount,
        )
        event.occurred_at.GetCurrentTime()
        await house.stub.ApplyProcessorEvent(
            pb.ApplyProcessorEventRequest(idempotency_key="evt_1", event=event)
        )
        return succeeded("pi_1")

    scripted.processors.script(AUTHORIZE, overtaken)
    payment = await house.execute(execution())
    story = await _told_of_its_first_try(house, payment.id)
    assert story.transitions[2].cause == "event:evt_1", "the webhook settled it"
    (only,) = story.attempts[0].tries
    assert (only.operation, only.result.processor_reference) == (AUTHORIZE, "pi_1")
    sentence = "Attempt 1: simulated was asked to authorize, and within 12 ms: it succeeded"
    assert any(line.message.startswith(sentence) for line in story.timeline)


async def _told_of_its_first_try(house: House, payment_id: str) -> story_pb.PaymentStory:
    request = pb.ExplainPaymentRequest(payment_id=payment_id)
    async with asyncio.timeout(20):
        while True:
            story = (await house.stub.ExplainPayment(request)).story
            if story.attempts[0].tries:
                return story
            await asyncio.sleep(0.05)
