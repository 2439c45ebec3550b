"""A process that was overtaken, and what it still says and does when it is back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.refund_pb2 import RefundState
from payments.result.v1.result_pb2 import Result

from services.kernel.clock import SystemClock
from services.kernel.errors import FailedPrecondition
from services.kernel.ids import PaymentId
from services.kernel.outcome import ErrorCode as Code
from services.kernel.outcome import Outcome
from services.orchestrator.domain.attempt import Execution
from services.orchestrator.domain.saving import Hold, Overtaken
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, running_house
from tests.orchestrator.orders import about, challenge, execution, succeeded, usd
from tests.router.attempts import failed, unknown
from tests.stand_in_processors import StandInProcessors, never

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
LOOKUP = Operation.OPERATION_LOOKUP
REFUND = Operation.OPERATION_REFUND
CAPTURED = PaymentState.PAYMENT_STATE_CAPTURED
_REFUNDED = "select from payments.payments where state = 'refunded'"
_AUTHORIZED = "select from payments.payments where state in ('authorized', 'captured')"
_TAKEN_OVER = "update payments.payments set lease_epoch = lease_epoch + 1"


@dataclass
class Held:
    """An answer that a test keeps back."""

    answer: Result
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def script(self) -> Callable[[], Awaitable[Result]]:
        async def answered() -> Result:
            self.asked.set()
            await self.told.wait()
            return self.answer

        return answered

    async def until_asked(self) -> None:
        async with asyncio.timeout(60):
            await self.asked.wait()


def _processors() -> StandInProcessors:
    return StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events


async def _expire(house: House) -> None:
    async with house.database.connection() as connection:
        await connection.execute("update payments.payments set lease_until = now()")


async def test_a_driver_that_was_overtaken_does_nothing_twice(application_url: str) -> None:
    """It was only slow: its answer comes when another has finished the payment."""
    late = Held(succeeded("pi_1"))
    processors, others = _processors(), _processors()
    processors.script(AUTHORIZE, late.script)
    others.script(LOOKUP, succeeded("pi_1"))
    async with (
        running_house(application_url, processors, recovers=False) as first,
        running_house(application_url, others) as second,
    ):
        call = asyncio.ensure_future(first.stub.ExecutePlan(execution(), timeout=60))
        await late.until_asked()
        await _expire(first)
        (row,) = await first.rows("select id from payments.payments")
        await second.until(f"pay_{row['id'].hex}", lambda each: each.state == CAPTURED)
        late.told.set()
        answer = await call
        assert answer.payment.state == CAPTURED
        assert processors.count(CAPTURE) + others.count(CAPTURE) == 1
        assert await first.count("postings") == 1


async def test_nobody_is_refused_by_what_was_overtaken(application_url: str) -> None:
    """A process still waits for an answer of old when it is asked to refund what others took."""
    slow = asyncio.Event()

    async def never_answered() -> Result:
        slow.set()
        return await never()

    processors, others = _processors(), _processors()
    processors.script(AUTHORIZE, never_answered)
    others.script(LOOKUP, succeeded("pi_1"))
    async with (
        running_house(application_url, processors, recovers=False) as first,
        running_house(application_url, others) as second,
    ):
        call = asyncio.ensure_future(first.stub.ExecutePlan(execution(), timeout=60))
        await slow.wait()
        await _expire(first)
        (row,) = await first.rows("select id from payments.payments")
        payment = await second.until(f"pay_{row['id'].hex}", lambda each: each.state == CAPTURED)
        refund = pb.RefundPaymentRequest(**about(payment, "refund"), amount=usd(100))
        answer = await first.stub.RefundPayment(refund, timeout=30)
        assert answer.refund.amount == usd(100)
        assert (await call).payment.id == payment.id


async def test_who_was_overtaken_sends_nothing_that_another_is_sending(
    application_url: str,
) -> None:
    """Its own answer is known by then, so that saving it would have changed nothing."""
    first_hold, capture = Held(succeeded("pi_1")), Held(succeeded("pi_1"))
    slow, others = _processors(), _processors()
    slow.script(AUTHORIZE, first_hold.script)
    slow.script(CAPTURE, *[failed(Code.NETWORK_FAILURE) for _ in range(3)])
    others.script(LOOKUP, succeeded("pi_1"))
    others.script(CAPTURE, capture.script)
    async with (
        running_house(application_url, slow, recovers=False) as first,
        running_house(application_url, others),
    ):
        call = asyncio.ensure_future(first.stub.ExecutePlan(execution(), timeout=120))
        await first_hold.until_asked()
        await _expire(first)
        await capture.until_asked()
        first_hold.told.set()
        await asyncio.sleep(1)
        assert (slow.count(CAPTURE), slow.count(LOOKUP)) == (0, 0)
        capture.told.set()
        answer = await call
        assert answer.payment.state == CAPTURED
        assert await first.count("attempts") == 2


async def test_a_failure_that_who_was_overtaken_tells_charges_nobody_a_second_time(
    application_url: str,
) -> None:
    """It could not send the order and would go elsewhere; meanwhile another has sent it."""
    unsent, held = Held(failed(Code.NETWORK_FAILURE, retryable=False)), Held(succeeded("pi_1"))
    slow, others = _processors(), _processors()
    slow.script(AUTHORIZE, unsent.script)
    others.script(LOOKUP, *[unknown() for _ in range(20)])
    others.script(AUTHORIZE, held.script)
    async with (
        running_house(application_url, slow, recovers=False) as first,
        running_house(application_url, others) as second,
    ):
        order = execution(processors=("simulated", "backup"))
        call = asyncio.ensure_future(first.stub.ExecutePlan(order, timeout=120))
        await unsent.until_asked()
        await _expire(first)
        await held.until_asked()
        unsent.told.set()
        await asyncio.sleep(1)
        (attempt,) = await second.rows("select state, processor_id from payments.attempts")
        assert (attempt["state"], attempt["processor_id"]) == ("open", "simulated")
        held.told.set()
        assert (await call).payment.state == CAPTURED
        assert slow.count(AUTHORIZE) + others.count(AUTHORIZE) == 2
        asked = await second.rows("select distinct processor_id from payments.attempts")
        assert [row["processor_id"] for row in asked] == ["simulated"]


async def test_a_challenge_that_who_was_overtaken_tells_is_left_to_who_drives(
    application_url: str,
) -> None:
    asked, held = Held(challenge()), Held(succeeded("pi_3"))
    slow, others = _processors(), _processors()
    slow.script(AUTHORIZE, asked.script)
    others.script(LOOKUP, held.script)
    async with (
        running_house(application_url, slow, recovers=False) as first,
        running_house(application_url, others) as second,
    ):
        call = asyncio.ensure_future(first.stub.ExecutePlan(execution(), timeout=120))
        await asked.until_asked()
        await _expire(first)
        await held.until_asked()
        asked.told.set()
        await asyncio.sleep(1)
        (payment,) = await second.rows("select redirect_url from payments.payments")
        assert payment["redirect_url"] is None
        held.told.set()
        assert (await call).payment.state == CAPTURED


async def test_a_success_that_who_was_overtaken_tells_is_kept(application_url: str) -> None:
    done, found = Held(succeeded("pi_1")), Held(unknown())
    slow, others = _processors(), _processors()
    slow.script(AUTHORIZE, done.script)
    others.script(LOOKUP, found.script, *[unknown() for _ in range(20)])
    async with (
        running_house(application_url, slow, recovers=False) as first,
        running_house(application_url, others) as second,
    ):
        call = asyncio.ensure_future(first.stub.ExecutePlan(execution(), timeout=120))
        await done.until_asked()
        await _expire(first)
        await found.until_asked()
        done.told.set()
        async with asyncio.timeout(60):
            while not await second.rows(_AUTHORIZED):  # noqa: ASYNC110 -- another task commits it
                await asyncio.sleep(0.02)
        found.told.set()
        assert (await call).payment.state == CAPTURED


@pytest.mark.parametrize("is_verdict", [True, False])
async def test_the_statement_itself_refuses_the_verdict_of_who_was_overtaken(
    application_url: str, is_verdict: bool
) -> None:
    """Nobody has changed the payment since: the version alone would let it through."""
    never_told, processors = Held(succeeded()), _processors()
    processors.script(AUTHORIZE, never_told.script)
    async with running_house(application_url, processors, recovers=False) as house:
        call = asyncio.ensure_future(house.stub.ExecutePlan(execution(), timeout=120))
        await never_told.until_asked()
        (row,) = await house.rows("select id, lease_epoch from payments.payments")
        payment = await house.writer.find(PaymentId.of_hex(row["id"].hex))
        assert payment is not None
        await house.rows(_TAKEN_OVER)
        (attempt,) = payment.to_send
        declined = Execution(Outcome.FAILED, error_code=Code.DECLINED)
        payment.settle(attempt.id, declined, SystemClock().now())
        hold = Hold(drives=False, epoch=row["lease_epoch"], is_required=is_verdict)
        written = await house.writer.save(payment, payment.collect_changes(), hold)
        assert isinstance(written, Overtaken) is is_verdict
        (row,) = await house.rows("select state from payments.attempts")
        assert row["state"] == ("open" if is_verdict else "failed")
        never_told.told.set()
        call.cancel()


async def test_a_refund_that_two_have_sent_is_returned_once_and_booked(
    application_url: str,
) -> None:
    """One could not send it and says so; meanwhile the other has, and is told that it was paid."""
    unsent, paid = Held(failed(Code.NETWORK_FAILURE)), Held(succeeded("re_1"))
    slow, others = _processors(), _processors()
    slow.script(AUTHORIZE, succeeded("pi_1"))
    slow.script(REFUND, unsent.script, *[failed(Code.NETWORK_FAILURE) for _ in range(3)])
    others.script(LOOKUP, *[unknown() for _ in range(20)])
    others.script(REFUND, paid.script)
    async with (
        running_house(application_url, slow, recovers=False) as first,
        running_house(application_url, others) as second,
    ):
        payment = await first.execute(execution())
        order = pb.RefundPaymentRequest(**about(payment, "r-1"))
        call = asyncio.ensure_future(first.stub.RefundPayment(order, timeout=120))
        await unsent.until_asked()
        await _expire(first)
        await paid.until_asked()
        unsent.told.set()
        await asyncio.sleep(1)
        # What may be on its way to the customer is not free to be returned once more.
        assert (await second.rows("select refund_reserved from payments.steps"))[0][0] == 10_000
        paid.told.set()
        assert (await call).refund.state == RefundState.REFUND_STATE_SUCCEEDED
        async with asyncio.timeout(60):
            while not await second.rows(_REFUNDED):  # noqa: ASYNC110 -- another task commits it
                await asyncio.sleep(0.02)
        (booking,) = await second.rows("select amount from payments.postings where kind = 'refund'")
        assert booking["amount"] == 10_000
        assert (await second.get(payment.id)).amount_refunded.amount_minor == 10_000
        again = pb.RefundPaymentRequest(**about(payment, "r-2"))
        with pytest.raises(FailedPrecondition), typed_errors():
            await second.stub.RefundPayment(again)
