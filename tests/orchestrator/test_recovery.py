"""Payments that nobody goes on with are taken up, by one of however many look for them."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2 import RESPONSE_MODE_ASYNC
from payments.orchestrator.v1.payment_pb2 import PaymentState
from prometheus_client import CollectorRegistry

from services.kernel.clock import ManualClock, SystemClock
from services.kernel.ids import PaymentId
from services.kernel.outcome import ErrorCode as Code
from services.orchestrator.domain.saving import LEASE
from services.orchestrator.metrics import DoubtMetrics
from services.orchestrator.workers import DoubtWatch
from tests.orchestrator.conftest import running_house
from tests.orchestrator.door import telling
from tests.orchestrator.orders import about, challenge, execution, succeeded, usd
from tests.router.attempts import failed, unknown
from tests.stand_in_processors import StandInProcessors, never

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
VOID = Operation.OPERATION_VOID
LOOKUP = Operation.OPERATION_LOOKUP
CAPTURED = PaymentState.PAYMENT_STATE_CAPTURED


def _processors() -> StandInProcessors:
    return StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events


async def _left_behind(url: str, *, asked: bool) -> str:
    """A payment that its process has left: with its attempt committed, and perhaps sent."""
    processors = _processors()
    if asked:
        processors.script(AUTHORIZE, never)
    async with running_house(url, processors, recovers=False) as house:
        order = execution(mode=RESPONSE_MODE_ASYNC)
        payment = await house.execute(order)
        async with asyncio.timeout(10):
            while asked and not processors.count(AUTHORIZE):  # noqa: ASYNC110 -- another task asks
                await asyncio.sleep(0.01)
        return payment.id


async def test_what_may_have_been_sent_is_looked_up_before_it_is_sent_again(
    application_url: str,
) -> None:
    payment_id = await _left_behind(application_url, asked=True)
    processors = _processors()
    processors.script(LOOKUP, succeeded("pi_1"))
    async with running_house(application_url, processors) as house:
        payment = await house.until(payment_id, lambda each: each.state == CAPTURED)
        assert processors.count(AUTHORIZE) == 0
        assert payment.result.step_results[0].processor_reference == "pi_1"
        # The call that began it has its answer, whoever carried it out.
        again = await house.stub.ExecutePlan(execution())
        assert (again.replayed, again.payment.id) == (True, payment_id)


async def test_what_is_not_found_is_sent_under_the_same_key(application_url: str) -> None:
    payment_id = await _left_behind(application_url, asked=True)
    processors = _processors()
    processors.script(LOOKUP, *[unknown() for _ in range(8)])
    processors.script(AUTHORIZE, succeeded("pi_1"))
    async with running_house(application_url, processors) as house:
        (attempt,) = await house.rows("select idempotency_key from payments.attempts")
        await house.until(payment_id, lambda each: each.state == CAPTURED)
        (request,) = [request for asked, request in processors.asked if asked == AUTHORIZE]
        assert request.idempotency_key == attempt["idempotency_key"]


async def test_a_repeat_that_does_not_get_through_proves_nothing(application_url: str) -> None:
    payment_id = await _left_behind(application_url, asked=True)
    processors = _processors()
    processors.script(LOOKUP, *[unknown() for _ in range(30)])
    processors.script(AUTHORIZE, *[failed(Code.NETWORK_FAILURE) for _ in range(3)])
    async with running_house(application_url, processors) as house:
        payment = await house.until(payment_id, lambda each: each.in_doubt)
        assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING


async def test_what_is_in_doubt_and_never_arrived_is_sent_again_under_the_same_key(
    application_url: str,
) -> None:
    processors = _processors()
    processors.script(AUTHORIZE, unknown(), succeeded("pi_1"))
    processors.script(LOOKUP, *[unknown() for _ in range(8)])
    async with running_house(application_url, processors) as house:
        payment = await house.execute(execution())
        assert payment.in_doubt
        payment = await house.until(payment.id, lambda each: each.state == CAPTURED)
        assert not payment.in_doubt
        first, second = (request for asked, request in processors.asked if asked == AUTHORIZE)
        assert first.idempotency_key == second.idempotency_key


async def test_what_is_in_doubt_is_only_looked_up_once_the_key_may_be_forgotten(
    application_url: str,
) -> None:
    processors = _processors()
    processors.script(AUTHORIZE, unknown())
    processors.script(LOOKUP, *[unknown() for _ in range(8)])
    clock = ManualClock(SystemClock().now())
    async with running_house(application_url, processors, clock=clock) as house:
        payment = await house.execute(execution())
        assert payment.in_doubt
        lookups = "select lookup_count from payments.attempts"
        (before,) = await house.rows(lookups)
        clock.advance(timedelta(hours=25))
        async with asyncio.timeout(90):
            # Not at its first question: once that is answered it might be sent again.
            while await house.rows(lookups) == [before]:  # noqa: ASYNC110 -- another task asks
                await asyncio.sleep(0.02)
        assert processors.count(AUTHORIZE) == 1


async def test_any_number_of_workers_take_a_payment_up_once(application_url: str) -> None:
    payment_id = await _left_behind(application_url, asked=True)
    processors = _processors()
    processors.script(LOOKUP, succeeded("pi_1"))
    async with (
        running_house(application_url, processors) as first,
        running_house(application_url, processors) as second,
        running_house(application_url, processors) as third,
    ):
        for house in (first, second, third):
            await house.until(payment_id, lambda each: each.state == CAPTURED)
        assert processors.count(CAPTURE) == 1
        assert await first.count("postings") == 1


async def test_what_is_taken_up_while_it_is_being_saved_is_gone_on_with_at_once(
    application_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep comes between what is done to the payment and the commit of that."""
    processors = _processors()
    processors.script(AUTHORIZE, unknown())
    processors.script(LOOKUP, *[unknown() for _ in range(4)], succeeded("pi_1"))
    async with running_house(application_url, processors, recovers=False) as house:
        payment = await house.execute(execution())
        save, began_at = house.writer.save, monotonic()

        async def save_late(*words: Any, **more: Any) -> Any:
            monkeypatch.setattr(house.writer, "save", save)
            lease = await house.writer.take(PaymentId.parse(payment.id))
            assert lease is not None
            house.desks.drive(lease)
            return await save(*words, **more)

        monkeypatch.setattr(house.writer, "save", save_late)
        (attempt,) = await house.rows("select id from payments.attempts")
        asked = telling("ACTION_REQUIRED", 1, attempt_id=f"att_{attempt['id'].hex}")
        await house.stub.ApplyProcessorEvent(asked)
        await house.until(payment.id, lambda each: each.state == CAPTURED)
        assert monotonic() - began_at < LEASE.total_seconds()


async def test_an_order_given_elsewhere_is_carried_out_by_who_drives(application_url: str) -> None:
    """Two processes: one captures what the other has authorized, both at once for the refund."""
    processors = _processors()
    processors.script(AUTHORIZE, succeeded("pi_1"))
    # Who drives cannot know that nobody has sent what another process committed: it asks first.
    processors.script(LOOKUP, *[unknown() for _ in range(200)])
    async with (
        running_house(application_url, processors) as first,
        running_house(application_url, processors) as second,
    ):
        payment = await first.execute(execution())
        orders: list[Awaitable[pb.RefundPaymentResponse]] = [
            house.stub.RefundPayment(
                pb.RefundPaymentRequest(**about(payment, f"r-{number}"), amount=usd(500)),
                timeout=60,
            )
            for number in range(20)
            for house in [(first, second)[number % 2]]
        ]
        answers = await asyncio.gather(*orders)
        payment = await first.get(payment.id)
        assert payment.amount_refunded.amount_minor == 10_000
        assert payment.state == PaymentState.PAYMENT_STATE_REFUNDED
        assert len({answer.refund.id for answer in answers}) == 20
        assert processors.count(Operation.OPERATION_REFUND) == 20


async def test_a_customer_who_never_acts_has_an_hour(application_url: str) -> None:
    clock = ManualClock(SystemClock().now())
    processors = _processors()
    processors.script(AUTHORIZE, challenge())
    processors.script(LOOKUP, challenge())
    async with running_house(application_url, processors, clock=clock) as house:
        payment = await house.execute(execution())
        await asyncio.sleep(1.5)
        assert not (await house.get(payment.id)).result.HasField("final_error")
        clock.advance(timedelta(hours=1, seconds=1))
        failed_state = PaymentState.PAYMENT_STATE_FAILED
        payment = await house.until(payment.id, lambda each: each.state == failed_state)
        assert processors.count(VOID) == 1
        assert payment.result.final_error.user_message


@pytest.mark.parametrize("asked", [False, True])
async def test_a_process_that_stops_leaves_its_payments_to_others_at_once(
    application_url: str, asked: bool
) -> None:
    payment_id = await _left_behind(application_url, asked=asked)
    processors = _processors()
    processors.script(LOOKUP, succeeded("pi_1"))
    async with running_house(application_url, processors) as house:
        async with asyncio.timeout(8):
            await house.until(payment_id, lambda each: each.state == CAPTURED)


async def test_what_is_in_doubt_is_shown_with_its_amount_and_age(
    application_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock(SystemClock().now())
    processors = _processors()
    processors.script(AUTHORIZE, unknown(), unknown())
    processors.script(LOOKUP, *[unknown() for _ in range(60)])
    registry = CollectorRegistry()
    async with running_house(application_url, processors, clock=clock) as house:
        watch = DoubtWatch(house.writer, DoubtMetrics(registry), clock)
        for key in ("one", "two"):
            assert (await house.execute(execution(key))).in_doubt
        clock.advance(timedelta(minutes=6))
        await watch.look()
        assert registry.get_sample_value("payments_in_doubt") == 2
        age_seconds = registry.get_sample_value("payments_in_doubt_age_seconds")
        assert age_seconds is not None
        assert age_seconds >= 360
        labels = {"currency": "USD"}
        assert registry.get_sample_value("payments_in_doubt_amount_minor", labels) == 20_000
        assert "2 payments with" in caplog.text
