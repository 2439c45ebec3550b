"""Words that the database cannot keep: a caller's are refused, a processor's kept without them."""

from typing import Any, Final

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState

from services.kernel.context import MAX_STEPS
from services.kernel.errors import FailedPrecondition, InvalidArgument, Reason
from services.kernel.outcome import ErrorCode as Code
from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import LOOKUPS_MAX, Evidence, Execution
from services.orchestrator.domain.state import RefundState
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.door import telling
from tests.orchestrator.orders import about, execution, succeeded
from tests.orchestrator.test_payment import NOW, captured
from tests.router.attempts import failed

_CARD: Final = "4242424242424242"


@pytest.mark.parametrize("reason", ["a\0b", "x" * 1_001, "card 4242-4242-4242-4242"])
@pytest.mark.parametrize("order", ["refund", "void"])
async def test_a_reason_that_cannot_be_kept_is_refused(
    house: House, order: str, reason: str
) -> None:
    payment = await house.execute(execution())
    words: dict[str, Any] = about(payment, "key") | {"reason": reason}
    call: Any = {"refund": house.stub.RefundPayment, "void": house.stub.VoidPayment}[order]
    request: Any = {"refund": pb.RefundPaymentRequest, "void": pb.VoidPaymentRequest}[order]
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await call(request(**words))
    assert refused.value.violations[0].field == "reason"


async def test_a_key_that_holds_a_card_number_is_refused_and_nothing_is_written(
    house: House,
) -> None:
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.execute(execution("order 4242 4242 4242 4242"))
    assert refused.value.reason is Reason.CARD_NUMBER_PRESENT
    assert "4242" not in refused.value.message
    assert await house.rows("select from payments.idempotency") == []


@pytest.mark.parametrize("place", ["request", "plan"])
async def test_a_token_that_is_a_card_number_is_refused_and_nothing_is_written(
    house: House, place: str
) -> None:
    order = execution()
    there = order.context if place == "request" else order.plan.steps[0]
    there.instrument.token = _CARD
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.execute(order)
    assert refused.value.reason is Reason.CARD_NUMBER_PRESENT
    assert refused.value.violations[0].field.endswith("instrument.token")
    assert await house.rows("select from payments.payments") == []


async def test_a_processors_word_never_keeps_a_payment_from_being_saved(
    scripted: ScriptedHouse,
) -> None:
    answer = failed(Code.DECLINED)
    answer.decline_code, answer.user_message = "lost\0card", "no\0"
    scripted.processors.script(Operation.OPERATION_AUTHORIZE, answer)
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    assert payment.result.final_error.decline_code == "lostcard"


@pytest.mark.parametrize("field", ["plan.digest", "plan.steps[0].candidates[0].processor_id"])
async def test_a_plan_that_cannot_be_kept_is_refused(house: House, field: str) -> None:
    order = execution()
    if field == "plan.digest":
        order.plan.digest += "\0"
    else:
        order.plan.steps[0].candidates[0].processor_id += "\0"
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.execute(order)
    assert refused.value.violations[0].field == field
    assert await house.count("payments") == 0


async def test_a_fee_of_more_than_the_whole_is_refused(house: House) -> None:
    order = execution()
    order.plan.platform_fee.amount_minor = 10_000
    assert (await house.execute(order)).platform_fee.amount_minor == 10_000
    order = execution("another")
    order.plan.platform_fee.amount_minor = 10_001
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.execute(order)
    assert refused.value.violations[0].field == "plan.platform_fee"
    assert await house.count("payments") == 1


async def test_a_plan_of_too_many_steps_is_refused(house: House) -> None:
    order = execution()
    for index in range(1, MAX_STEPS + 1):
        order.plan.steps.add().CopyFrom(order.plan.steps[0])
        order.plan.steps[index].index, order.plan.steps[index].amount.amount_minor = index, 0
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.execute(order)
    assert [each.field for each in refused.value.violations] == ["plan.steps"]


@pytest.mark.parametrize("field", ["id", "processor_id", "processor_reference", "object_id"])
async def test_an_event_that_cannot_be_named_is_refused(house: House, field: str) -> None:
    request = telling("CAPTURED", 1)
    setattr(request.event, field, "a\0b")
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.stub.ApplyProcessorEvent(request)
    assert refused.value.violations[0].field == f"event.{field}"


async def test_a_processors_own_words_never_keep_an_event_from_being_heard(
    scripted: ScriptedHouse,
) -> None:
    scripted.processors.script(Operation.OPERATION_AUTHORIZE, succeeded("pi_1"))
    payment = await scripted.house.execute(execution())
    # A processor's own name of a thing may look like anything, a card's number too.
    request = telling("CAPTURED", 1, object_id="4242424242424242")
    request.event.native_type, request.event.native_reason = "cap\0tured", "\0"
    answer = await scripted.house.stub.ApplyProcessorEvent(request)
    assert answer.payment_id == payment.id


def test_what_was_taken_on_and_never_ends_needs_a_person_who_can_settle_it() -> None:
    payment = captured()
    refund = payment.refund(None, "", "key", NOW)
    (attempt,) = payment.to_send
    for _ in range(LOOKUPS_MAX):
        payment.settle(attempt.id, Execution(Outcome.PENDING, reference="re_1"), NOW)
    before = payment.standing
    payment.settle(attempt.id, Execution(Outcome.PENDING, reference="re_1"), NOW)
    assert (before.needs_reconciliation, payment.standing.needs_reconciliation) == (False, True)
    evidence = Evidence(Outcome.FAILED, None, "dashboard", "maria")
    with pytest.raises(FailedPrecondition):
        payment.resolve(None, evidence, NOW)
    payment.resolve(attempt.id, evidence, NOW)
    assert payment.refunds[0].id == refund.id
    assert payment.refunds[0].state is RefundState.FAILED
    assert payment.total("reserved").is_zero
