"""What failed, was tried elsewhere or was in doubt is told with its reasons."""

import asyncio

from payments.core.v1.error_code_pb2 import ErrorCode
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2 as story_pb
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.result.v1.result_pb2 import Outcome

from services.kernel.outcome import ErrorCode as Code
from tests.orchestrator.conftest import ScriptedHouse
from tests.orchestrator.orders import about, execution, succeeded
from tests.orchestrator.stories import explain, sentences
from tests.router.attempts import failed, unknown

AUTHORIZE = Operation.OPERATION_AUTHORIZE
LOOKUP = Operation.OPERATION_LOOKUP
CAPTURED = PaymentState.PAYMENT_STATE_CAPTURED


async def test_a_decline_is_told_with_its_code(scripted: ScriptedHouse) -> None:
    declined = failed(Code.INSUFFICIENT_FUNDS, decline_code="insufficient_funds")
    scripted.processors.script(AUTHORIZE, declined)
    payment = await scripted.house.execute(execution())
    story = await explain(scripted.house, payment.id)
    (attempt,) = story.attempts
    assert attempt.state == story_pb.AttemptState.ATTEMPT_STATE_FAILED
    assert attempt.result.error_code == ErrorCode.ERROR_CODE_INSUFFICIENT_FUNDS
    text = " ".join(sentences(story))
    assert "it failed (insufficient_funds, insufficient_funds)." in text
    assert "from CONFIRMING to FAILED, because of attempt 1." in text


async def test_a_failover_is_told_with_the_routers_reasons(scripted: ScriptedHouse) -> None:
    down = failed(Code.NETWORK_FAILURE)
    scripted.processors.script(AUTHORIZE, down, down, down, succeeded("pi_2"))
    payment = await scripted.house.execute(execution(processors=("simulated", "backup")))
    story = await explain(scripted.house, payment.id)
    first, second, _ = story.attempts
    assert (first.attempt.processor_id, second.attempt.processor_id) == ("simulated", "backup")
    assert [each.number for each in first.tries] == [1, 2, 3]
    rules = [each.rule for each in first.decisions]
    assert rules[-1] == "failover.network_failure"
    text = " ".join(sentences(story))
    assert "backup could take it instead (failover.network_failure, simulated)." in text


async def test_what_was_in_doubt_is_told_as_it_ended_and_keeps_no_error(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, unknown())
    scripted.processors.script(LOOKUP, unknown(), succeeded("pi_9"))
    payment = await house.execute(execution())
    async with asyncio.timeout(30):
        while payment.state != CAPTURED:
            await asyncio.sleep(0.05)
            payment = await house.get(payment.id)
    story = await explain(house, payment.id)
    doubted = story.attempts[0]
    assert doubted.state == story_pb.AttemptState.ATTEMPT_STATE_SUCCEEDED
    assert doubted.result.outcome == Outcome.OUTCOME_SUCCEEDED
    assert doubted.result.error_code == ErrorCode.ERROR_CODE_UNSPECIFIED
    assert [each.operation for each in doubted.tries] == [AUTHORIZE, LOOKUP, LOOKUP]
    text = " ".join(sentences(story))
    assert "whether it was done is not known (timeout)" in text
    assert "was asked what became of it, and within 12 ms: it succeeded, as pi_9." in text


async def test_a_doubt_that_lasts_is_told_and_an_operators_word_ends_it(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, unknown())
    scripted.processors.script(LOOKUP, *[unknown()] * 50)
    payment = await house.execute(execution())
    story = await explain(house, payment.id)
    (attempt,) = story.attempts
    assert attempt.state == story_pb.AttemptState.ATTEMPT_STATE_IN_DOUBT
    assert attempt.result.outcome == Outcome.OUTCOME_UNKNOWN
    assert any("in doubt since now" in each for each in sentences(story))
    request = pb.ResolvePaymentRequest(**about(payment, "resolve-1"))
    request.attempt_id = attempt.attempt.id
    request.evidence.outcome = Outcome.OUTCOME_FAILED
    request.evidence.source = "dashboard, exported 2030-01-05"
    request.evidence.operator = "maria"
    await house.stub.ResolvePayment(request)
    story = await explain(house, payment.id)
    (attempt,) = story.attempts
    assert attempt.evidence == request.evidence
    assert attempt.result.outcome == Outcome.OUTCOME_FAILED, "not what the processor said last"
    text = " ".join(sentences(story))
    assert "in doubt since now" not in text
    assert "operator: Attempt 1 was settled by maria: it failed; seen in: dashboard," in text
    assert "from CONFIRMING to FAILED, because of operator maria." in text
