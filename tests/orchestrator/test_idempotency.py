"""One key, one payment: repeats get the first answer, other bodies are told how they differ."""

import asyncio
from typing import Any

import pytest
from grpc.aio import AioRpcError
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    ExecutePlanRequest,
    GetPaymentRequest,
)
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.result.v1.result_pb2 import Result

from services.kernel.errors import (
    Conflict,
    InFlight,
    InvalidArgument,
    NotFound,
    Reason,
)
from services.kernel.ids import MerchantId, PaymentId, RequestId
from services.runtime.rpc import error_from_rpc, typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import execution, succeeded


async def test_a_repeat_gets_the_first_answer_and_moves_nothing(house: House) -> None:
    first = await house.stub.ExecutePlan(execution())
    again = await house.stub.ExecutePlan(execution(processors=("another",)))
    assert not first.replayed
    assert again.replayed
    assert again.payment == first.payment
    assert again.request_id == first.request_id == first.payment.request_id
    assert house.calls == ["Authorize"]
    assert await house.count("payments") == 1


async def test_a_decline_is_replayed_too_and_another_key_tries_anew(house: House) -> None:
    card = "pm_card_chargeDeclined"
    first = await house.execute(execution("first", card=card))
    assert await house.execute(execution("first", card=card)) == first
    second = await house.execute(execution("second"))
    assert second.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert second.id != first.id


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"amount_minor": 10_001}, ["amount"]),
        ({"card": "pm_card_mastercard"}, ["instrument.token"]),
        ({"metadata": {"order": "18"}}, ["metadata.order"]),
        ({"metadata": {}, "user_id": "ada"}, ["metadata.order", "user_id"]),
    ],
)
async def test_a_key_with_another_body_is_a_conflict_that_names_the_fields(
    house: House, changed: dict[str, Any], fields: list[str]
) -> None:
    await house.execute(execution(metadata={"order": "17"}))
    with pytest.raises(Conflict) as refused, typed_errors():
        await house.execute(execution(**{"metadata": {"order": "17"}, **changed}))
    assert refused.value.reason is Reason.IDEMPOTENCY_KEY_REUSED
    assert [violation.field for violation in refused.value.violations] == fields
    assert await house.count("payments") == 1


async def test_what_no_key_stands_for_may_differ(house: House) -> None:
    first = await house.execute(execution())
    repeat = execution(request_id=RequestId.new())
    repeat.context.received_at.FromSeconds(1_800_000_000)
    assert await house.execute(repeat) == first


async def test_the_same_key_of_another_merchant_is_another_key(house: House) -> None:
    first = await house.execute(execution())
    request = execution()
    request.context.merchant_id = request.plan.merchant_id = MerchantId.new()
    assert (await house.execute(request)).id != first.id


async def test_a_key_whose_call_is_at_work_is_in_flight(scripted: ScriptedHouse) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly() -> Result:
        asked.set()
        await answer.wait()
        return succeeded()

    scripted.processors.script(Operation.OPERATION_AUTHORIZE, slowly)
    scripted.processors.script(Operation.OPERATION_CAPTURE, succeeded())
    first = asyncio.create_task(scripted.house.execute(execution()))
    await asyncio.wait_for(asked.wait(), 30)
    with pytest.raises(InFlight) as refused, typed_errors():
        await scripted.house.execute(execution())
    assert refused.value.retry_after is not None
    with pytest.raises(Conflict), typed_errors():
        await scripted.house.execute(execution(amount_minor=1))
    answer.set()
    assert await scripted.house.execute(execution("another")) != await first
    assert await scripted.house.execute(execution()) == await first


async def test_fifty_at_once_with_one_key_are_one_payment(house: House) -> None:
    answers = await asyncio.gather(
        *(house.execute(execution()) for _ in range(50)), return_exceptions=True
    )
    told = [answer for answer in answers if not isinstance(answer, BaseException)]
    refused = [answer for answer in answers if isinstance(answer, AioRpcError)]
    assert len(told) + len(refused) == 50
    assert len({answer.SerializeToString(deterministic=True) for answer in told}) == 1
    assert all(isinstance(error_from_rpc(error), InFlight) for error in refused)
    assert await house.count("payments") == 1
    assert house.calls == ["Authorize"]


async def test_fifty_at_once_with_keys_of_their_own_are_fifty_payments(house: House) -> None:
    payments = await asyncio.gather(
        *(house.execute(execution(f"order-{number}")) for number in range(50))
    )
    assert {payment.state for payment in payments} == {PaymentState.PAYMENT_STATE_CAPTURED}
    assert len({payment.id for payment in payments}) == 50
    # Two writes a payment, and fewer commits than payments.
    assert house.writer.writer.counts.units == 100
    assert house.writer.writer.counts.batches < 50


def _no_key(request: ExecutePlanRequest) -> None:
    request.idempotency_key = request.context.idempotency_key = ""


def _two_keys(request: ExecutePlanRequest) -> None:
    request.context.idempotency_key = "another"


def _other_merchant(request: ExecutePlanRequest) -> None:
    request.plan.merchant_id = MerchantId.new()


def _other_total(request: ExecutePlanRequest) -> None:
    request.plan.total.amount_minor += 1


def _other_sum(request: ExecutePlanRequest) -> None:
    request.plan.steps[0].amount.amount_minor -= 1


def _no_plan(request: ExecutePlanRequest) -> None:
    request.ClearField("plan")


def _no_candidate(request: ExecutePlanRequest) -> None:
    del request.plan.steps[0].candidates[:]


def _no_token(request: ExecutePlanRequest) -> None:
    request.plan.steps[0].instrument.token = ""


def _no_time(request: ExecutePlanRequest) -> None:
    request.plan.steps[0].ClearField("timeout")


@pytest.mark.parametrize(
    ("spoil", "reason", "field"),
    [
        (_no_key, Reason.IDEMPOTENCY_KEY_MISSING, "idempotency_key"),
        (_two_keys, Reason.IDEMPOTENCY_KEY_MISMATCH, "context.idempotency_key"),
        (_other_merchant, Reason.INVALID_ARGUMENT, "plan.merchant_id"),
        (_other_total, Reason.INVALID_ARGUMENT, "plan.total"),
        (_other_sum, Reason.INVALID_ARGUMENT, "plan.steps"),
        (_no_plan, Reason.INVALID_ARGUMENT, "plan"),
        (_no_candidate, Reason.INVALID_ARGUMENT, "plan.steps[0].candidates"),
        (_no_token, Reason.INVALID_ARGUMENT, "plan.steps[0].instrument.token"),
        (_no_time, Reason.INVALID_ARGUMENT, "plan.steps[0].timeout"),
    ],
)
async def test_what_cannot_be_carried_out_is_refused_and_nothing_is_written(
    house: House, spoil: Any, reason: Reason, field: str
) -> None:
    request = execution()
    spoil(request)
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.execute(request)
    assert refused.value.reason is reason
    assert field in [violation.field for violation in refused.value.violations]
    assert await house.count("payments") == await house.count("idempotency") == 0
    assert house.calls == []


async def test_a_payment_of_another_merchant_is_not_there(house: House) -> None:
    payment = await house.execute(execution())
    for payment_id, merchant_id in (
        (payment.id, MerchantId.new()),
        (PaymentId.new(), payment.merchant_id),
    ):
        request = GetPaymentRequest(payment_id=payment_id, merchant_id=merchant_id)
        with pytest.raises(NotFound) as refused, typed_errors():
            await house.stub.GetPayment(request)
        assert refused.value.message == f"there is no payment {payment_id}"
    own = GetPaymentRequest(payment_id=payment.id, merchant_id=payment.merchant_id)
    assert (await house.stub.GetPayment(own)).payment.id == payment.id
