"""What a payment comes to that hears of its money at the door, carried out to the end."""

import asyncio
from collections import Counter

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2 as story_pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.result.v1.result_pb2 import Result

from services.kernel.context import CaptureMethod
from services.kernel.outcome import ErrorCode as Code
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.door import attempt_id_in, captured, tell, telling
from tests.orchestrator.orders import about, challenge, execution, succeeded, usd
from tests.router.attempts import failed

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
VOID = Operation.OPERATION_VOID
REFUND = Operation.OPERATION_REFUND

APPLIED = story_pb.EVENT_DISPOSITION_APPLIED


async def _until_state(house: House, payment_id: str, state: PaymentState.ValueType) -> Payment:
    async with asyncio.timeout(40):
        while True:
            payment = await house.get(payment_id)
            if payment.state == state:
                return payment
            await asyncio.sleep(0.02)


async def test_authentication_is_completed_by_an_event_and_the_rest_is_carried_out(
    scripted: ScriptedHouse,
) -> None:
    scripted.processors.script(AUTHORIZE, challenge())
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING
    hold = {"processor_reference": "pi_3", "object_id": "pi_3"}
    told = await tell(scripted.house, telling("AUTHORIZED", 1, amount=usd(10_000), **hold))
    assert told.disposition == APPLIED
    paid = await _until_state(scripted.house, payment.id, PaymentState.PAYMENT_STATE_CAPTURED)
    assert not paid.HasField("next_action")
    assert scripted.processors.count(CAPTURE) == 1
    causes = await scripted.house.rows(
        "select cause from payments.transitions where to_state = 'authorized'"
    )
    assert [row["cause"] for row in causes] == ["event:evt_1"]


async def test_what_is_taken_before_the_answer_is_answered_and_not_taken_again(
    scripted: ScriptedHouse,
) -> None:
    gate = asyncio.Event()

    async def slowly() -> Result:
        await gate.wait()
        return succeeded("pi_1")

    scripted.processors.script(AUTHORIZE, slowly)
    paying = asyncio.create_task(scripted.house.execute(execution()))
    named = {"attempt_id": await attempt_id_in(scripted.house)}
    told = await tell(scripted.house, telling("CAPTURED", 1, amount=usd(10_000), **named))
    assert told.disposition == APPLIED
    async with asyncio.timeout(30):
        assert (await paying).state == PaymentState.PAYMENT_STATE_CAPTURED
    gate.set()
    await asyncio.sleep(0.2)
    assert scripted.processors.count(CAPTURE) == 0
    assert await scripted.house.count("postings") == 1


async def test_money_that_comes_late_is_sent_back_and_booked_both_ways(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, failed(Code.DECLINED))
    payment = await house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    named = {"attempt_id": await attempt_id_in(house)}
    for number in (1, 2):
        late = telling("CAPTURED", number, amount=usd(10_000), **named)
        assert (await tell(house, late)).payment_id == payment.id
    async with asyncio.timeout(30):
        while await house.count("postings") < 2:  # noqa: ASYNC110 -- another task commits it
            await asyncio.sleep(0.02)
    assert scripted.processors.count(REFUND) == 1
    kinds = await house.rows("select kind from payments.postings order by id")
    assert [row["kind"] for row in kinds] == ["late_success", "late_success_reversal"]
    after = await house.get(payment.id)
    assert after.state == PaymentState.PAYMENT_STATE_FAILED
    assert after.needs_reconciliation


async def test_a_hold_that_comes_late_is_released(scripted: ScriptedHouse) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, failed(Code.DECLINED))
    payment = await house.execute(execution())
    named = {"attempt_id": await attempt_id_in(house)}
    await tell(house, telling("AUTHORIZED", 1, amount=usd(10_000), **named))
    async with asyncio.timeout(30):
        while not scripted.processors.count(VOID):  # noqa: ASYNC110 -- another task asks
            await asyncio.sleep(0.02)
    assert (await house.get(payment.id)).needs_reconciliation
    assert await house.count("postings") == 0


async def test_a_hold_that_ran_out_voids_the_payment(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"))
    payment = await scripted.house.execute(execution(capture_method=CaptureMethod.MANUAL))
    told = await tell(scripted.house, telling("CANCELED", 1, native_reason="expired"))
    assert told.disposition == APPLIED
    after = await scripted.house.get(payment.id)
    assert after.state == PaymentState.PAYMENT_STATE_VOIDED
    assert after.amount_authorized == usd(0)
    voided = [each.payment_voided for each in await scripted.house.told()][-1]
    assert voided.cause == "expired"
    assert scripted.processors.count(VOID) == 0


async def test_what_exceeds_the_headroom_is_recorded_beside_our_own_reserve(
    scripted: ScriptedHouse,
) -> None:
    payment = await captured(scripted)
    house = scripted.house
    ours = pb.RefundPaymentRequest(**about(payment, "ref-1"), amount=usd(8_000))
    await house.stub.RefundPayment(ours)
    outside = telling("REFUND_SUCCEEDED", 1, amount=usd(5_000), object_id="re_outside")
    assert (await tell(house, outside)).disposition == APPLIED
    disputed = telling("DISPUTE_FUNDS_WITHDRAWN", 2, amount=usd(10_000), object_id="dp_1")
    assert (await tell(house, disputed)).disposition == APPLIED
    after = await house.get(payment.id)
    assert after.amount_excess == usd(13_000)
    assert after.needs_reconciliation
    (row,) = await house.rows("select excess from payments.disputes")
    assert row["excess"] == 10_000


async def test_a_refund_that_comes_back_is_booked_back(scripted: ScriptedHouse) -> None:
    payment = await captured(scripted)
    house = scripted.house
    paid = telling("REFUND_SUCCEEDED", 1, amount=usd(10_000), object_id="re_1")
    await tell(house, paid)
    assert (await house.get(payment.id)).state == PaymentState.PAYMENT_STATE_REFUNDED
    for number in (2, 3):
        await tell(house, telling("REFUND_FAILED", number, amount=usd(10_000), object_id="re_1"))
    after = await house.get(payment.id)
    assert (after.state, after.amount_refunded) == (
        PaymentState.PAYMENT_STATE_REFUNDED,
        usd(0),
    )
    kinds = await house.rows("select kind from payments.postings")
    assert Counter(row["kind"] for row in kinds) == {
        "capture": 1,
        "refund": 1,
        "refund_reversal": 1,
    }
