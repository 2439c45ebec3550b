"""What the policy comes to forbid while a payment is under way, and what goes on all the same."""

import asyncio
from typing import Any

import pytest
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.core.v1.operation_pb2 import Operation
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_APPLE_PAY, PAYMENT_METHOD_CARD
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.result.v1.composite_result_pb2 import StepState
from payments.result.v1.result_pb2 import Result

from services.kernel.context import SplitPolicy
from services.kernel.outcome import ErrorCode
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, execution, split, succeeded, usd
from tests.orchestrator.policies import velocity
from tests.router.attempts import failed

AUTHORIZE = Operation.OPERATION_AUTHORIZE
ALL = config_pb.VELOCITY_SCOPE_MERCHANT


def _forbidding(house: House, settings: config_pb.MerchantSettings) -> Any:
    async def answer() -> Result:
        await house.configure(settings)
        return succeeded("pi_1")

    return answer


@pytest.mark.parametrize(
    ("policy", "state", "voids"),
    [
        (SplitPolicy.ALL_OR_NOTHING, PaymentState.PAYMENT_STATE_FAILED, 1),
        (SplitPolicy.PARTIAL, PaymentState.PAYMENT_STATE_CAPTURED, 0),
    ],
)
async def test_a_step_that_is_forbidden_meanwhile_fails_and_is_not_sent(
    scripted: ScriptedHouse, policy: SplitPolicy, state: PaymentState.ValueType, voids: int
) -> None:
    house, processors = scripted.house, scripted.processors
    settings = config_pb.MerchantSettings(allowed_methods=[PAYMENT_METHOD_APPLE_PAY])
    processors.script(AUTHORIZE, _forbidding(house, settings))
    payment = await house.execute(split(split_policy=policy))
    assert processors.count(AUTHORIZE) == 1
    assert payment.state == state
    steps = payment.result.step_results
    assert steps[1].state == StepState.STEP_STATE_FAILED
    assert payment.result.final_error.step_index == 1
    assert payment.result.final_error.user_message == ErrorCode.PROCESSING_ERROR.user_message
    async with asyncio.timeout(30):
        while processors.count(Operation.OPERATION_VOID) < voids:  # noqa: ASYNC110 -- it follows
            await asyncio.sleep(0.01)
    rows = await house.rows("select operation, state from payments.attempts order by number")
    assert [tuple(row) for row in rows[:2]] == [
        ("authorize", "succeeded"),
        ("authorize", "failed"),
    ]


async def test_a_step_below_the_least_that_is_allowed_by_then_is_not_sent(
    scripted: ScriptedHouse,
) -> None:
    house, processors = scripted.house, scripted.processors
    least = config_pb.AmountLimit(method=PAYMENT_METHOD_CARD, min_amount=usd(4_001))
    processors.script(AUTHORIZE, _forbidding(house, config_pb.MerchantSettings()))
    processors.script(AUTHORIZE, succeeded("pi_2"))
    assert (await house.execute(split())).state == PaymentState.PAYMENT_STATE_CAPTURED
    processors.script(
        AUTHORIZE, _forbidding(house, config_pb.MerchantSettings(amount_limits=[least]))
    )
    payment = await house.execute(split("another"))
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    assert processors.count(AUTHORIZE) == 3


async def test_what_is_held_is_taken_and_given_back_whatever_is_forbidden_by_then(
    house: House,
) -> None:
    payment = await house.execute(execution())
    nothing = config_pb.MerchantSettings(
        allowed_methods=[PAYMENT_METHOD_APPLE_PAY],
        velocity_limits=[velocity(ALL, max_minor=1)],
    )
    await house.configure(nothing)
    answer = await house.stub.RefundPayment(
        pb.RefundPaymentRequest(**about(payment, "refund"), amount=usd(10_000))
    )
    assert answer.payment.state == PaymentState.PAYMENT_STATE_REFUNDED


async def test_another_processor_is_asked_only_while_the_policy_allows_it(
    scripted: ScriptedHouse,
) -> None:
    house, processors = scripted.house, scripted.processors
    settings = config_pb.MerchantSettings(allowed_methods=[PAYMENT_METHOD_APPLE_PAY])

    async def declined() -> Result:
        await house.configure(settings)
        return failed(ErrorCode.PROCESSING_ERROR)

    # The router tries three times before it names another one.
    processors.script(AUTHORIZE, declined, declined, declined)
    payment = await house.execute(execution(processors=("simulated", "another")))
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    rows = await house.rows("select processor_id, state from payments.attempts order by number")
    assert [tuple(row) for row in rows] == [("simulated", "failed"), ("another", "failed")]
    assert {request.attempt.processor_id for _, request in processors.asked} == {"simulated"}


async def test_a_policy_that_cannot_be_read_holds_up_nothing_that_was_admitted(
    scripted: ScriptedHouse,
) -> None:
    house, processors = scripted.house, scripted.processors

    async def away() -> Result:
        house.configs.is_away = True
        house.policies._policies.clear()
        return succeeded("pi_1")

    processors.script(AUTHORIZE, away, succeeded("pi_2"))
    payment = await house.execute(split())
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert payment.result.step_results[1].state == StepState.STEP_STATE_CAPTURED
