"""GetIdempotency: what became of a key, and whether a retry is safe."""

import asyncio
from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.idempotency_pb2 import IdempotencyRecord, IdempotencyState
from payments.result.v1.result_pb2 import Result

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.ids import MerchantId
from services.orchestrator.domain import command
from services.orchestrator.translate.request import request_from_message
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, execution, succeeded
from tests.plan_builder.orders import MERCHANT

UNSEEN = IdempotencyState.IDEMPOTENCY_STATE_UNSEEN
IN_FLIGHT = IdempotencyState.IDEMPOTENCY_STATE_IN_FLIGHT
DONE = IdempotencyState.IDEMPOTENCY_STATE_DONE
CONFLICT = IdempotencyState.IDEMPOTENCY_STATE_CONFLICT


async def _ask(house: House, key: str, **words: Any) -> IdempotencyRecord:
    request = pb.GetIdempotencyRequest(**{"merchant_id": MERCHANT, "idempotency_key": key, **words})
    with typed_errors():
        return (await house.stub.GetIdempotency(request)).record


def _fingerprint(order: pb.ExecutePlanRequest) -> str:
    return command.execute_plan(request_from_message(order.context)).fingerprint.hex()


async def test_a_key_that_nobody_used_is_unseen_and_free(house: House) -> None:
    record = await _ask(house, "order-17")
    assert record == IdempotencyRecord(idempotency_key="order-17", state=UNSEEN, retry_safe=True)


async def test_a_key_whose_call_was_answered_is_done(house: House) -> None:
    order = execution()
    payment = await house.execute(order)
    record = await _ask(house, "order-17", fingerprint=_fingerprint(order))
    assert (record.state, record.retry_safe) == (DONE, True)
    assert (record.operation, record.payment_id) == ("ExecutePlan", payment.id)
    assert record.request_id == order.context.request_id
    assert record.first_used_at.ToDatetime() <= record.answered_at.ToDatetime()
    assert (await house.stub.ExecutePlan(order)).replayed, "which is what it said"


async def test_a_key_without_a_fingerprint_is_asked_about_alone(house: House) -> None:
    await house.execute(execution())
    assert (await _ask(house, "order-17")).state == DONE


async def test_another_request_under_the_key_is_a_conflict(house: House) -> None:
    await house.execute(execution())
    fingerprint = _fingerprint(execution(amount_minor=10_001))
    record = await _ask(house, "order-17", fingerprint=fingerprint.upper())
    assert (record.state, record.retry_safe) == (CONFLICT, False)
    assert record.operation == "ExecutePlan"


async def test_a_key_of_another_merchant_is_unseen(house: House) -> None:
    await house.execute(execution())
    record = await _ask(house, "order-17", merchant_id=MerchantId.new())
    assert (record.state, record.payment_id) == (UNSEEN, "")


async def test_a_key_whose_call_is_at_work_is_in_flight(scripted: ScriptedHouse) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def late() -> Result:
        began.set()
        await goes_on.wait()
        return succeeded()

    scripted.processors.script(Operation.OPERATION_AUTHORIZE, late)
    paying = asyncio.create_task(scripted.house.execute(execution()))
    await asyncio.wait_for(began.wait(), 30)
    record = await _ask(scripted.house, "order-17")
    assert (record.state, record.retry_safe) == (IN_FLIGHT, True)
    assert not record.HasField("answered_at")
    goes_on.set()
    await paying
    assert (await _ask(scripted.house, "order-17")).state == DONE


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"idempotency_key": ""}, Reason.IDEMPOTENCY_KEY_MISSING),
        ({"idempotency_key": "k" * 256}, Reason.INVALID_ARGUMENT),
        ({"idempotency_key": "k\0"}, Reason.INVALID_ARGUMENT),
        ({"fingerprint": "abc"}, Reason.INVALID_ARGUMENT),
        ({"fingerprint": "g" * 64}, Reason.INVALID_ARGUMENT),
        ({"fingerprint": " ".join(["ab"] * 32)}, Reason.INVALID_ARGUMENT),
        ({"merchant_id": ""}, Reason.ID_MALFORMED),
    ],
)
async def test_a_malformed_question_is_refused(
    house: House, words: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await _ask(house, "order-17", **words)
    assert refused.value.reason is reason


@pytest.mark.parametrize("key", ["k" * 256, "k\0"])
async def test_a_key_that_cannot_be_kept_is_refused_for_orders_too(house: House, key: str) -> None:
    payment = await house.execute(execution())
    with pytest.raises(InvalidArgument), typed_errors():
        await house.stub.RefundPayment(pb.RefundPaymentRequest(**about(payment, key)))
    assert await house.count("refunds") == 0
