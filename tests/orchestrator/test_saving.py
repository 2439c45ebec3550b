"""A change is saved onto what it was made from, and what somebody drives is nobody else's."""

import asyncio
from datetime import timedelta

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.orchestrator_service_pb2 import RESPONSE_MODE_ASYNC

from services.kernel.clock import SystemClock
from services.kernel.errors import FailedPrecondition, InFlight, Reason
from services.kernel.ids import PaymentId
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.saving import Hold
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import execution
from tests.stand_in_processors import never

_AUTHORIZE = Operation.OPERATION_AUTHORIZE


async def _captured(house: House) -> PaymentId:
    payment = await house.execute(execution())
    return PaymentId(payment.id)


async def _read(house: House, payment_id: PaymentId) -> Payment:
    payment = await house.writer.find(payment_id)
    assert payment is not None
    return payment


async def test_of_two_who_read_the_same_payment_one_returns_its_money(house: House) -> None:
    """Each has found all of it to be left, and what the second one says would undo the first."""
    payment_id = await _captured(house)
    first, second = await _read(house, payment_id), await _read(house, payment_id)
    for payment in (first, second):
        payment.refund(None, "", payment.id, SystemClock().now())
    await house.writer.save(first, first.collect_changes(), Hold(drives=False))
    with pytest.raises(InFlight) as refused:
        await house.writer.save(second, second.collect_changes(), Hold(drives=False))
    assert refused.value.reason is Reason.STALE_VERSION
    assert await house.count("refunds") == 1


async def test_a_refund_reserves_before_it_is_sent(house: House) -> None:
    payment = await _read(house, await _captured(house))
    refund = payment.refund(None, "", "first", SystemClock().now())
    assert payment.total("reserved") == refund.amount
    assert payment.total("refundable").is_zero
    with pytest.raises(FailedPrecondition) as refused:
        payment.refund(None, "", "second", SystemClock().now())
    assert refused.value.reason is Reason.REFUND_HEADROOM_EXCEEDED


async def test_what_is_driven_is_taken_up_by_nobody_else(scripted: ScriptedHouse) -> None:
    scripted.processors.script(_AUTHORIZE, never)
    house = scripted.house
    await house.execute(execution(mode=RESPONSE_MODE_ASYNC))
    async with asyncio.timeout(60):
        while not scripted.processors.count(_AUTHORIZE):  # noqa: ASYNC110 -- another task asks
            await asyncio.sleep(0.01)
    assert len(house.desks.leases) == 1
    in_an_hour = SystemClock().now() + timedelta(hours=1)
    assert await house.writer.take_due(in_an_hour, 10) == []
