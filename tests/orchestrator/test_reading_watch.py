"""WatchPayment: a payment as it is and as it changes, for as long as it does by itself."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.result.v1.result_pb2 import Result

from services.kernel.context import CaptureMethod
from services.kernel.errors import DeadlineExceeded, InvalidArgument, NotFound
from services.kernel.ids import MerchantId, PaymentId
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, execution, succeeded

CONFIRMING = PaymentState.PAYMENT_STATE_CONFIRMING
CAPTURED = PaymentState.PAYMENT_STATE_CAPTURED


async def _watch(
    house: House, payment_id: str, *, timeout_seconds: float = 30, **words: Any
) -> Sequence[Payment]:
    request = pb.WatchPaymentRequest(payment_id=payment_id, **words)
    with typed_errors():
        stream = house.stub.WatchPayment(request, timeout=timeout_seconds)
        return [each.payment async for each in stream]


async def test_a_payment_is_watched_until_it_is_booked(scripted: ScriptedHouse) -> None:
    house, goes_on = scripted.house, asyncio.Event()

    async def late() -> Result:
        await goes_on.wait()
        return succeeded()

    scripted.processors.script(Operation.OPERATION_AUTHORIZE, late)
    order = execution(mode=pb.RESPONSE_MODE_ASYNC)
    payment = await house.execute(order)
    stream = house.stub.WatchPayment(pb.WatchPaymentRequest(payment_id=payment.id), timeout=30)
    seen = [(await anext(aiter(stream))).payment]
    assert seen[0].state == CONFIRMING
    goes_on.set()
    async for response in stream:
        seen.append(response.payment)
        if response.payment.posting_state == PostingState.POSTING_STATE_PENDING:
            # Nobody else books here.
            await house.poster.post_due()
    assert (seen[-1].state, seen[-1].posting_state) == (
        CAPTURED,
        PostingState.POSTING_STATE_POSTED,
    )
    versions = [each.version for each in seen]
    assert versions == sorted(versions)
    assert seen[-1] == await house.get(payment.id)
    told = [(each.version, each.posting_state) for each in seen]
    assert len(told) == len(set(told)), "nothing is told twice"


async def test_a_payment_at_rest_is_told_once(house: House) -> None:
    payment = await house.execute(execution(capture_method=CaptureMethod.MANUAL))
    assert [each.version for each in await _watch(house, payment.id)] == [payment.version]


async def test_who_has_seen_it_is_told_of_what_is_newer_alone(house: House) -> None:
    payment = await house.execute(execution(capture_method=CaptureMethod.MANUAL))
    assert await _watch(house, payment.id, after_version=payment.version) == []
    earlier = await _watch(house, payment.id, after_version=payment.version - 1)
    assert [each.version for each in earlier] == [payment.version]


async def test_an_intent_is_told_once_since_only_a_call_changes_it(house: House) -> None:
    created = await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key="order-17", context=execution().context)
    )
    assert await _watch(house, created.payment.id) == [created.payment]


async def test_a_watcher_who_goes_leaves_the_payment_alone(scripted: ScriptedHouse) -> None:
    house, goes_on = scripted.house, asyncio.Event()

    async def late() -> Result:
        await goes_on.wait()
        return succeeded()

    scripted.processors.script(Operation.OPERATION_AUTHORIZE, late)
    payment = await house.execute(execution(mode=pb.RESPONSE_MODE_ASYNC))
    with pytest.raises(DeadlineExceeded):
        await _watch(house, payment.id, timeout_seconds=0.5)
    goes_on.set()
    async with asyncio.timeout(30):
        while payment.state != CAPTURED:
            await asyncio.sleep(0.01)
            payment = await house.get(payment.id)


async def test_another_merchants_payment_is_not_there_to_be_watched(house: House) -> None:
    payment = await house.execute(execution())
    absent = PaymentId.new()
    told = []
    for payment_id, merchant_id in (
        (payment.id, MerchantId.new()),
        (absent, payment.merchant_id),
    ):
        with pytest.raises(NotFound) as refused:
            await _watch(house, payment_id, merchant_id=merchant_id)
        told.append(refused.value.message.replace(payment_id, "…"))
    assert told == ["there is no payment …"] * 2


async def test_a_refund_is_seen_by_one_who_goes_on_watching(house: House) -> None:
    payment = await house.execute(execution())
    await house.stub.RefundPayment(pb.RefundPaymentRequest(**about(payment, "r-1")))
    seen = await _watch(house, payment.id, after_version=payment.version)
    assert seen[-1].state == PaymentState.PAYMENT_STATE_REFUNDED
    assert seen[-1].posting_state == PostingState.POSTING_STATE_POSTED


@pytest.mark.parametrize("words", [{"after_version": -1}, {"merchant_id": "mer"}])
async def test_a_malformed_wish_is_refused(house: House, words: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await _watch(house, PaymentId.new(), **words)
