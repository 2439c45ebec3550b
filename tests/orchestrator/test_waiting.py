"""Payments that wait: for what is not known yet, for an operator's word, for their customer."""

import asyncio

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.result.v1.result_pb2 import Outcome

from services.kernel.errors import FailedPrecondition, Reason, SwitchyardError
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, challenge, execution, succeeded
from tests.router.attempts import unknown

AUTHORIZE = Operation.OPERATION_AUTHORIZE
VOID = Operation.OPERATION_VOID


async def test_what_is_in_doubt_is_looked_up_until_it_is_known(scripted: ScriptedHouse) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, unknown())
    scripted.processors.script(
        Operation.OPERATION_LOOKUP, unknown(), unknown(), unknown(), unknown(), succeeded("pi_9")
    )
    payment = await house.execute(execution())
    assert payment.in_doubt
    assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING
    payment = await _reaching(house, payment, PaymentState.PAYMENT_STATE_CAPTURED)
    assert not payment.in_doubt
    assert scripted.processors.count(AUTHORIZE) == 1
    told = [event.type for event in await house.told()]
    assert told.index("PaymentInDoubt") < told.index("PaymentDoubtSettled")


async def _reaching(house: House, payment: Payment, state: PaymentState.ValueType) -> Payment:
    async with asyncio.timeout(60):
        while payment.state != state:
            await asyncio.sleep(0.02)
            payment = await house.get(payment.id)
    return payment


async def test_an_operator_settles_what_cannot_be_looked_up(scripted: ScriptedHouse) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, unknown())
    scripted.processors.script(Operation.OPERATION_LOOKUP, *[unknown() for _ in range(60)])
    payment = await house.execute(execution())
    request = pb.ResolvePaymentRequest(**about(payment, "resolve-1"))
    request.evidence.outcome = Outcome.OUTCOME_SUCCEEDED
    with pytest.raises(SwitchyardError) as refused, typed_errors():
        await house.stub.ResolvePayment(request)
    assert refused.value.reason is Reason.EVIDENCE_REQUIRED
    request.evidence.source, request.evidence.operator = "dashboard", "maria"
    request.evidence.processor_reference = "pi_7"
    answer = await house.stub.ResolvePayment(request)
    assert not answer.payment.in_doubt
    payment = await _reaching(house, payment, PaymentState.PAYMENT_STATE_CAPTURED)
    ways = await house.rows("select cause from payments.transitions where to_state = 'authorized'")
    assert [row["cause"] for row in ways] == ["operator:maria"]
    request.idempotency_key = "resolve-2"
    with pytest.raises(FailedPrecondition) as settled, typed_errors():
        await house.stub.ResolvePayment(request)
    assert settled.value.reason is Reason.PAYMENT_NOT_IN_DOUBT


async def test_a_customer_who_has_acted_is_found_by_confirming_again(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, challenge())
    scripted.processors.script(Operation.OPERATION_LOOKUP, challenge(), succeeded("pi_3"))
    payment = await house.execute(execution())
    assert payment.next_action.redirect.redirect_url == "https://bank.example/3ds"
    waits = await house.stub.ConfirmPayment(pb.ConfirmPaymentRequest(**about(payment, "go-1")))
    assert waits.payment.next_action.HasField("redirect")
    done = await house.stub.ConfirmPayment(pb.ConfirmPaymentRequest(**about(payment, "go-2")))
    assert done.payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert not done.payment.HasField("next_action")


async def test_what_waits_for_its_customer_can_be_withdrawn(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, challenge())
    payment = await scripted.house.execute(execution())
    answer = await scripted.house.stub.VoidPayment(pb.VoidPaymentRequest(**about(payment, "v-1")))
    assert answer.payment.state == PaymentState.PAYMENT_STATE_FAILED
    (void,) = [request for operation, request in scripted.processors.asked if operation == VOID]
    assert void.attempt.processor_reference == "pi_3"
