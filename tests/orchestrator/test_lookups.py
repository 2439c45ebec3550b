"""However often it is asked what became of an attempt, what is kept of the answers is bounded."""

from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.router.v1.router_service_pb2 import ExecuteAttemptResponse

from services.kernel.clock import SystemClock
from services.kernel.ids import PaymentId
from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import Execution
from services.orchestrator.domain.saving import Hold, Saved
from tests.orchestrator.conftest import House, running_house
from tests.orchestrator.orders import execution
from tests.router.attempts import unknown
from tests.stand_in_processors import StandInProcessors

_KEPT = "select cardinality(records) as count, lookup_count from payments.attempts"


def _answer(number: int) -> Execution:
    response = ExecuteAttemptResponse()
    response.decisions.add(rule=f"lookup.{number}")
    return Execution(Outcome.UNKNOWN, record=response.SerializeToString())


async def _look_up(house: House, payment_id: PaymentId, answer: Execution) -> None:
    payment = await house.writer.find(payment_id)
    assert payment is not None
    (attempt,) = payment.attempts
    payment.settle(attempt.id, answer, SystemClock().now(), "lookup")
    written = await house.writer.save(payment, payment.collect_changes(), Hold(drives=False))
    assert isinstance(written, Saved)


async def test_of_two_hundred_lookups_the_first_and_the_last_are_kept(
    application_url: str,
) -> None:
    processors = StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events
    processors.script(Operation.OPERATION_AUTHORIZE, unknown())
    processors.script(Operation.OPERATION_LOOKUP, *[unknown() for _ in range(8)])
    async with running_house(application_url, processors, recovers=False) as house:
        payment = await house.execute(execution())
        for number in range(200):
            await _look_up(house, PaymentId.parse(payment.id), _answer(number))
        (row,) = await house.rows(_KEPT)
        request = pb.ExplainPaymentRequest(payment_id=payment.id)
        (attempt,) = (await house.stub.ExplainPayment(request)).story.attempts
    assert (row["count"], row["lookup_count"]) == (8, 201)
    told = [each.rule for each in attempt.decisions]
    assert told[0] == "lookup.unknown"
    kept = [rule for rule in told if rule.removeprefix("lookup.").isdigit()]
    assert kept == ["lookup.0", *(f"lookup.{number}" for number in range(194, 200))]
