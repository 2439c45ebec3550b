"""The router before real adapters and sandboxes that fail: what their own records say is true."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.result.v1.result_pb2 import Outcome
from payments.router.v1.circuit_breaker_pb2 import CircuitBreakerState as State
from payments.router.v1.router_service_pb2 import (
    ExecuteAttemptRequest,
    ExecuteAttemptResponse,
    ListCircuitBreakersRequest,
)
from payments.router.v1.router_service_pb2_grpc import (
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)
from prometheus_client import CollectorRegistry

from services.kernel.clock import Clock, ManualClock, SystemClock
from services.router.clients import Processors
from services.router.domain.breaker import CircuitBreakers
from services.router.metrics import RouterMetrics
from services.router.rpc import RouterServicer
from services.router.service.router import Router, log_transition
from services.router.service.run import Means
from services.runtime.rpc import Middleware, Registry, connect_in_process
from services.runtime.telemetry import Telemetry
from tests.processor.conftest import behind_door, opened
from tests.router.attempts import CAPTURE, VOID, attempt, committed, lookup_of
from tests.router.outside import OutsideProcessor


@dataclass(frozen=True)
class Run:
    """A router with two processors, each with a sandbox of its own behind it."""

    stub: RouterServiceStub
    stripe: OutsideProcessor
    backup: OutsideProcessor

    async def execute(self, request: ExecuteAttemptRequest) -> ExecuteAttemptResponse:
        return await self.stub.ExecuteAttempt(request, timeout=60)

    async def pay(self, **asked: float) -> Sequence[ExecuteAttemptResponse]:
        """Attempt after attempt, as the orchestrator makes them, until none is named."""
        responses = [await self.execute(attempt(alternatives=("backup",), **asked))]  # type: ignore[arg-type]  # by name
        while responses[-1].failover_to:
            following = attempt(responses[-1].failover_to, alternatives=())
            responses.append(await self.execute(following))
        return responses

    async def breaker_state(self) -> State.ValueType:
        request = ListCircuitBreakersRequest(processor_id="stripe", page_size=100)
        (breaker,) = (await self.stub.ListCircuitBreakers(request)).circuit_breakers
        return breaker.state


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
async def run(tmp_path: Path, clock: Clock) -> AsyncIterator[Run]:
    stripe = OutsideProcessor(tmp_path / "stripe")
    backup = OutsideProcessor(tmp_path / "backup")
    async with AsyncExitStack() as stack:
        for outside in (stripe, backup):
            stack.push_async_callback(outside.stop)
            await outside.start()
        processors = await stack.enter_async_context(
            behind_door(
                [
                    opened("stripe", stripe.url),
                    opened("stripe", backup.url, named="backup"),
                ]
            )
        )
        means = Means(
            Processors(processors),
            CircuitBreakers(clock, log_transition),
            RouterMetrics(CollectorRegistry()),
            clock,
            chance=lambda: 0.0,
        )
        registry = Registry(Middleware(Telemetry.create("test")))
        registry.register(add_RouterServiceServicer_to_server, RouterServicer(Router(means)))
        channel = await stack.enter_async_context(connect_in_process(registry))
        yield Run(RouterServiceStub(channel), stripe, backup)


async def test_a_reply_lost_after_success_is_looked_up_and_never_goes_elsewhere(run: Run) -> None:
    await run.stripe.strike("payment_intents.confirm", "reply_lost")
    (response,) = await run.pay()
    assert response.result.success
    assert [decision.rule for decision in response.decisions] == ["lookup.unknown", "lookup.found"]
    assert len(await run.stripe.charges()) == 1
    assert await run.backup.requests() == []


async def test_an_answer_that_never_comes_leaves_the_outcome_unknown_and_here(run: Run) -> None:
    await run.stripe.strike("*", "hang", skip=1, count=50)
    started_at = time.monotonic()
    (response,) = await run.pay(timeout_seconds=4)
    assert response.result.outcome == Outcome.OUTCOME_UNKNOWN
    assert not response.failover_to
    assert 2 < time.monotonic() - started_at < 30
    assert len(await run.stripe.charges()) == 1, "it had succeeded, which nobody could know"
    assert await run.backup.requests() == []


async def test_what_was_unknown_is_found_once_the_processor_answers_again(run: Run) -> None:
    await run.stripe.strike("payment_intents.confirm", "reply_lost")
    await run.stripe.strike("payment_intents.retrieve", "reset", count=50)
    await run.stripe.strike("payment_intents.create", "reset", count=50, skip=1)
    order = attempt(alternatives=("backup",), timeout_seconds=2)
    response = await run.execute(order)
    assert response.result.outcome == Outcome.OUTCOME_UNKNOWN
    await run.stripe.relent()
    found = await run.stub.LookupAttempt(lookup_of(order))
    assert found.result.success
    assert len(await run.stripe.charges()) == 1
    assert await run.backup.requests() == []


async def test_a_processor_that_is_down_is_answered_for_by_the_next_within_the_time(
    run: Run,
) -> None:
    await run.stripe.stop()
    started_at = time.monotonic()
    first, second = await run.pay()
    assert time.monotonic() - started_at < 30
    assert first.failover_to == "backup"
    assert first.decisions[-1].rule == "failover.network_failure"
    assert second.result.success
    assert len(await run.backup.charges()) == 1


async def test_a_rate_limit_is_waited_out_under_the_same_key(run: Run) -> None:
    await run.stripe.strike("payment_intents.create", "rate_limit", count=2)
    (response,) = await run.pay()
    assert response.result.success
    assert len(response.tries) == 3
    assert len(await run.stripe.charges()) == 1


async def test_a_decline_stays_where_it_was_given(run: Run) -> None:
    declined = attempt(alternatives=("backup",), token="pm_card_visa_chargeDeclined")  # noqa: S106 -- a test token's public name
    response = await run.execute(declined)
    assert response.result.outcome == Outcome.OUTCOME_FAILED
    assert not response.failover_to
    assert await run.backup.requests() == []


@pytest.mark.parametrize("operation", [CAPTURE, VOID])
async def test_what_follows_goes_to_the_processor_that_authorized(
    run: Run, operation: Operation.ValueType
) -> None:
    (authorized,) = await run.pay()
    await run.stripe.strike("payment_intents.*", "reply_lost")
    following = committed(operation=operation)
    following.processor_reference = authorized.result.processor_reference
    request = attempt(operation=operation, alternatives=("backup",))
    request.attempt.CopyFrom(following)
    request.idempotency_key = following.id
    response = await run.execute(request)
    assert response.result.success
    assert "lookup.found" in [decision.rule for decision in response.decisions]
    assert await run.backup.requests() == []


class TestOverMinutes:
    """With a clock that can be moved past the breaker's minute."""

    @pytest.fixture
    def clock(self) -> Clock:
        return ManualClock(datetime.now(UTC))

    async def test_the_breaker_opens_probes_once_and_closes(
        self, run: Run, clock: ManualClock
    ) -> None:
        await run.stripe.stop()
        for _ in range(2):
            _, second = await run.pay()
            assert second.result.success
        assert await run.breaker_state() == State.CIRCUIT_BREAKER_STATE_OPEN
        await run.stripe.start()
        first, second = await run.pay()
        assert not first.tries
        assert second.result.success
        assert await run.stripe.requests() == []

        clock.advance(timedelta(seconds=60))
        await run.stripe.strike("payment_intents.confirm", "slow", delay_ms=1_000)
        payments = await asyncio.gather(*(run.pay() for _ in range(20)))
        at_stripe = [responses for responses in payments if len(responses) == 1]
        assert len(at_stripe) == 1, "one probe, and everybody else at the next processor"
        assert at_stripe[0][0].result.success
        assert len(await run.stripe.charges()) == 1
        assert len(await run.backup.charges()) == 2 + 1 + 19

        assert await run.breaker_state() == State.CIRCUIT_BREAKER_STATE_CLOSED
        (again,) = await run.pay()
        assert again.result.success
