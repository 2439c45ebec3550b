"""Payments of several steps: held whole, taken one by one, and let go or returned together."""

import asyncio

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.result.v1.composite_result_pb2 import StepState

from services.kernel.context import SplitPolicy
from services.kernel.outcome import ErrorCode as Code
from tests.orchestrator.conftest import ScriptedHouse
from tests.orchestrator.orders import split, succeeded, usd
from tests.router.attempts import failed

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
VOID = Operation.OPERATION_VOID


async def test_a_split_is_held_whole_and_then_taken(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"), succeeded("pi_2"))
    payment = await scripted.house.execute(split())
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    amounts = [step.amount_processed.amount_minor for step in payment.result.step_results]
    assert amounts == [6_000, 4_000]
    asked = [operation for operation, _ in scripted.processors.asked]
    assert asked == [AUTHORIZE, AUTHORIZE, CAPTURE, CAPTURE]
    assert payment.platform_fee == usd(320)


async def test_what_a_step_fails_to_hold_moves_to_a_later_one(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, failed(Code.DECLINED), succeeded("pi_2"))
    payment = await scripted.house.execute(split())
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    first, second = payment.result.step_results
    assert first.state == StepState.STEP_STATE_FAILED
    assert (second.amount, second.amount_processed) == (usd(10_000), usd(10_000))
    assert payment.result.success
    assert not payment.result.HasField("final_error")


async def test_all_or_nothing_lets_go_what_it_held(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"), failed(Code.DECLINED))
    payment = await scripted.house.execute(split(split_policy=SplitPolicy.ALL_OR_NOTHING))
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    assert payment.result.final_error.step_index == 1
    async with asyncio.timeout(10):
        while not scripted.processors.count(VOID):  # noqa: ASYNC110 -- another task asks
            await asyncio.sleep(0.01)
    (void,) = [request for operation, request in scripted.processors.asked if operation == VOID]
    assert void.attempt.processor_reference == "pi_1"
    assert await scripted.house.count("postings") == 0


async def test_a_partial_split_keeps_what_succeeded(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"), failed(Code.DECLINED))
    payment = await scripted.house.execute(split(split_policy=SplitPolicy.PARTIAL))
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert payment.amount_captured == usd(6_000)
    assert payment.result.remaining_amount == usd(4_000)
    assert not payment.result.success


async def test_a_later_capture_that_fails_returns_what_was_taken(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"), succeeded("pi_2"))
    scripted.processors.script(CAPTURE, succeeded("pi_1"), failed(Code.DECLINED))
    payment = await scripted.house.execute(split(split_policy=SplitPolicy.ALL_OR_NOTHING))
    async with asyncio.timeout(10):
        while payment.state != PaymentState.PAYMENT_STATE_REFUNDED:
            await asyncio.sleep(0.01)
            payment = await scripted.house.get(payment.id)
    assert payment.amount_refunded == usd(6_000)
    voided = [request for operation, request in scripted.processors.asked if operation == VOID]
    assert [request.attempt.processor_reference for request in voided] == ["pi_2"]
    kinds = [row["kind"] for row in await scripted.house.rows("select kind from payments.postings")]
    assert sorted(kinds) == ["capture", "refund"]
