"""What one candidate fails to take is tried at the next, by an attempt of its own."""

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.processor.v1.attempt_pb2 import Attempt
from payments.result.v1.result_pb2 import Result

from services.kernel.outcome import ErrorCode as Code
from tests.orchestrator.conftest import ScriptedHouse
from tests.orchestrator.orders import execution, succeeded
from tests.router.attempts import failed

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE


async def test_failover_goes_to_the_next_candidate_with_a_committed_attempt_of_its_own(
    scripted: ScriptedHouse,
) -> None:
    committed: list[tuple[Attempt, list[str]]] = []

    async def look(answer: Result) -> Result:
        rows = await scripted.house.rows("select id, state from payments.attempts order by number")
        _, request = scripted.processors.asked[-1]
        committed.append((request.attempt, [row["state"] for row in rows]))
        assert rows[-1]["id"].hex == request.attempt.id.removeprefix("att_")
        return answer

    broken = failed(Code.PROCESSING_ERROR, retryable=False)
    scripted.processors.script(AUTHORIZE, lambda: look(broken), lambda: look(succeeded()))
    scripted.processors.script(CAPTURE, lambda: look(succeeded()))
    payment = await scripted.house.execute(execution(processors=("simulated", "backup")))
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    assert payment.result.step_results[0].processor_id == "backup"
    assert [states for _, states in committed] == [
        ["open"],
        ["failed", "open"],
        ["failed", "succeeded", "open"],
    ]
    attempts = [attempt for attempt, _ in committed]
    assert [each.processor_id for each in attempts] == ["simulated", "backup", "backup"]
    assert len({request.idempotency_key for _, request in scripted.processors.asked}) == 3
    assert attempts[2].processor_reference == "pi_1"


async def test_when_every_candidate_fails_the_payment_fails(scripted: ScriptedHouse) -> None:
    broken = failed(Code.PROCESSING_ERROR, retryable=False)
    scripted.processors.script(AUTHORIZE, broken, broken)
    payment = await scripted.house.execute(execution(processors=("simulated", "backup")))
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    assert payment.result.step_results[0].attempt_count == 2
    failures = [told for told in await scripted.house.told() if told.HasField("step_failed")]
    assert [told.step_failed.processor_id for told in failures] == ["simulated", "backup"]
