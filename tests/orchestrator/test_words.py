"""Words that the database cannot keep: a caller's are refused, a processor's kept without them."""

from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState

from services.kernel.errors import FailedPrecondition, InvalidArgument
from services.kernel.outcome import ErrorCode as Code
from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import LOOKUPS_MAX, Evidence, Execution
from services.orchestrator.domain.state import RefundState
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse
from tests.orchestrator.orders import about, execution
from tests.orchestrator.test_payment import NOW, captured
from tests.router.attempts import failed


@pytest.mark.parametrize("reason", ["a\0b", "x" * 1_001])
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


async def test_a_processors_word_never_keeps_a_payment_from_being_saved(
    scripted: ScriptedHouse,
) -> None:
    answer = failed(Code.DECLINED)
    answer.decline_code, answer.user_message = "lost\0card", "no\0"
    scripted.processors.script(Operation.OPERATION_AUTHORIZE, answer)
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    assert payment.result.final_error.decline_code == "lostcard"


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
