"""The circuit breaker: five failures open it, one probe after a minute decides."""

import asyncio
from datetime import timedelta

import pytest
from payments.result.v1.result_pb2 import Outcome, Result
from payments.router.v1.circuit_breaker_pb2 import CircuitBreakerState as State
from payments.router.v1.router_service_pb2 import ListCircuitBreakersRequest

from services.kernel.errors import InvalidArgument
from services.kernel.outcome import ErrorCode
from services.router.domain.breaker import BreakerState
from services.runtime.rpc import typed_errors
from tests.router.attempts import (
    AUTHORIZE,
    CAPTURE,
    LOOKUP,
    failed,
    nothing_found,
    succeeded,
    unknown,
)
from tests.router.conftest import BEGINNING, RouterUnderTest

_DOWN = failed(ErrorCode.NETWORK_FAILURE)


async def _open(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[_DOWN] * 5)
    for _ in range(5):
        await router.execute(max_tries=1)
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_OPEN


async def test_the_fifth_failure_in_a_row_opens_it_and_nothing_is_sent(
    router: RouterUnderTest,
) -> None:
    router.processors.script(AUTHORIZE, *[_DOWN] * 5)
    for _ in range(4):
        await router.execute(max_tries=1)
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_CLOSED
    await router.execute(max_tries=1)
    breaker = await router.breaker()
    assert breaker.state == State.CIRCUIT_BREAKER_STATE_OPEN
    assert breaker.consecutive_failures == 5
    assert breaker.opened_at.ToDatetime(tzinfo=BEGINNING.tzinfo) == BEGINNING
    assert breaker.probe_at.ToDatetime(tzinfo=BEGINNING.tzinfo) == BEGINNING + timedelta(minutes=1)
    assert "network_failure" in breaker.last_failure

    response = await router.execute()
    assert router.processors.count(AUTHORIZE) == 5
    assert not response.tries
    assert response.result.outcome == Outcome.OUTCOME_FAILED
    assert response.failover_to == "backup"
    assert [decision.rule for decision in response.decisions] == [
        "breaker.open",
        "failover.network_failure",
    ]


async def test_it_opens_amid_the_tries_of_one_attempt(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[_DOWN] * 9)
    await router.execute()
    response = await router.execute()
    assert len(response.tries) == 2
    assert [decision.rule for decision in response.decisions] == [
        "retry.network_failure",
        "breaker.open",
        "failover.network_failure",
    ]


@pytest.mark.parametrize(
    "proof_of_life",
    [
        succeeded(),
        failed(ErrorCode.DECLINED),
        failed(ErrorCode.INSUFFICIENT_FUNDS),
        failed(ErrorCode.PROCESSING_ERROR, retryable=False),
        Result(outcome=Outcome.OUTCOME_REQUIRES_ACTION),
    ],
)
async def test_an_answer_starts_the_count_anew(
    router: RouterUnderTest, proof_of_life: Result
) -> None:
    router.processors.script(AUTHORIZE, *[_DOWN] * 4, proof_of_life, *[_DOWN] * 4)
    for _ in range(9):
        await router.execute(max_tries=1)
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_CLOSED


async def test_declines_never_open_it(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[failed(ErrorCode.DECLINED)] * 50)
    for _ in range(50):
        await router.execute()
    assert router.processors.count(AUTHORIZE) == 50
    assert not router.transitions


async def test_a_rate_limit_neither_counts_nor_clears(router: RouterUnderTest) -> None:
    limited = failed(ErrorCode.RATE_LIMITED)
    router.processors.script(AUTHORIZE, *[limited] * 9, *[_DOWN] * 4, limited, _DOWN)
    for _ in range(14):
        await router.execute(max_tries=1)
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_CLOSED
    await router.execute(max_tries=1)
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_OPEN


async def test_a_lookup_that_finds_nothing_is_no_failure_and_one_without_answer_is(
    router: RouterUnderTest,
) -> None:
    router.processors.script(AUTHORIZE, *[unknown()] * 3)
    router.processors.script(LOOKUP, *[nothing_found()] * 4, *[unknown()] * 5)
    await router.execute()
    assert (await router.breaker(LOOKUP)).consecutive_failures == 0
    await router.execute()
    breaker = await router.breaker(LOOKUP)
    assert breaker.consecutive_failures == 4, "no attempt opens it alone"
    assert breaker.state == State.CIRCUIT_BREAKER_STATE_CLOSED
    await router.execute()
    assert (await router.breaker(LOOKUP)).state == State.CIRCUIT_BREAKER_STATE_OPEN


async def test_while_lookups_are_held_off_an_outcome_stays_unknown(
    router: RouterUnderTest,
) -> None:
    router.processors.script(AUTHORIZE, *[unknown()] * 3)
    router.processors.script(LOOKUP, *[unknown()] * 5)
    await router.execute()
    await router.execute()
    response = await router.execute()
    assert router.processors.count(LOOKUP) == 5
    assert response.result.outcome == Outcome.OUTCOME_UNKNOWN
    assert not response.failover_to


async def test_each_processor_and_operation_has_its_own(router: RouterUnderTest) -> None:
    await _open(router)
    assert (await router.execute(operation=CAPTURE)).result.success
    assert (await router.execute(processor_id="backup")).result.success


async def test_alternatives_that_are_down_are_passed_over(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[_DOWN] * 5)
    for _ in range(5):
        await router.execute(processor_id="backup", max_tries=1)
    router.processors.script(AUTHORIZE, _DOWN)
    response = await router.execute(max_tries=1)
    assert response.failover_to == "third"
    assert [(d.processor_id, d.rule) for d in response.decisions][-2:] == [
        ("backup", "breaker.open"),
        ("stripe", "failover.network_failure"),
    ]


async def test_of_a_hundred_at_once_exactly_one_probes(router: RouterUnderTest) -> None:
    await _open(router)
    router.clock.advance(timedelta(seconds=59.9))
    await router.execute()
    assert router.processors.count(AUTHORIZE) == 5, "not before its time"

    router.clock.advance(timedelta(seconds=0.1))
    back = asyncio.Event()

    async def slow() -> Result:
        await back.wait()
        return succeeded()

    router.processors.script(AUTHORIZE, slow)
    calls = [asyncio.create_task(router.execute()) for _ in range(100)]
    while sum(call.done() for call in calls) < 99:  # noqa: ASYNC110 -- they end by themselves
        await asyncio.sleep(0.005)
    assert router.processors.count(AUTHORIZE) == 6
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_HALF_OPEN
    back.set()
    responses = await asyncio.gather(*calls)
    probes = [r for r in responses if "breaker.probe" in [d.rule for d in r.decisions]]
    assert len(probes) == 1
    assert probes[0].result.success
    assert sum(response.failover_to == "backup" for response in responses) == 99

    breaker = await router.breaker()
    assert breaker.state == State.CIRCUIT_BREAKER_STATE_CLOSED
    assert breaker.consecutive_failures == 0
    await asyncio.gather(*(router.execute() for _ in range(10)))
    assert router.processors.count(AUTHORIZE) == 16
    assert [transition.after for transition in router.transitions] == [
        BreakerState.OPEN,
        BreakerState.HALF_OPEN,
        BreakerState.CLOSED,
    ]


async def test_a_probe_that_fails_opens_it_for_another_minute(router: RouterUnderTest) -> None:
    await _open(router)
    router.clock.advance(timedelta(seconds=60))
    router.processors.script(AUTHORIZE, _DOWN)
    response = await router.execute()
    assert len(response.tries) == 1, "a probe is not repeated"
    router.clock.advance(timedelta(seconds=59))
    await router.execute()
    assert router.processors.count(AUTHORIZE) == 6
    router.clock.advance(timedelta(seconds=1))
    assert (await router.execute()).result.success


async def test_a_probe_whose_caller_gives_up_lets_the_next_one_probe(
    router: RouterUnderTest,
) -> None:
    await _open(router)
    router.clock.advance(timedelta(seconds=60))
    asked = asyncio.Event()

    async def stuck() -> Result:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    router.processors.script(AUTHORIZE, stuck)
    probe = asyncio.create_task(router.execute())
    await asked.wait()
    probe.cancel()
    await asyncio.wait([probe])
    async with asyncio.timeout(20):
        while (await router.breaker()).state != State.CIRCUIT_BREAKER_STATE_OPEN:  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0.005)
    assert (await router.execute()).result.success


async def test_what_was_sent_before_it_opened_neither_closes_nor_prolongs_it(
    router: RouterUnderTest,
) -> None:
    answers: list[asyncio.Future[Result]] = []

    async def later() -> Result:
        answers.append(asyncio.get_running_loop().create_future())
        return await answers[-1]

    router.processors.script(AUTHORIZE, later, later)
    early = [asyncio.create_task(router.execute(max_tries=1)) for _ in range(2)]
    while len(answers) < 2:  # noqa: ASYNC110 -- they begin by themselves
        await asyncio.sleep(0)
    await _open(router)
    answers[0].set_result(succeeded())
    await early[0]
    assert (await router.breaker()).state == State.CIRCUIT_BREAKER_STATE_OPEN
    router.clock.advance(timedelta(seconds=30))
    answers[1].set_result(_DOWN)
    await early[1]
    router.clock.advance(timedelta(seconds=30))
    assert (await router.execute()).result.success


async def test_breakers_are_listed_by_processor_operation_and_state(
    router: RouterUnderTest,
) -> None:
    await _open(router)
    await router.execute(operation=CAPTURE)
    for processor_id in ("apple_pay", "zebra"):
        await router.execute(processor_id=processor_id)
    request = ListCircuitBreakersRequest(page_size=3)
    first = await router.stub.ListCircuitBreakers(request)
    request.page_token = first.next_page_token
    second = await router.stub.ListCircuitBreakers(request)
    listed = [*first.circuit_breakers, *second.circuit_breakers]
    assert [(breaker.processor_id, breaker.operation) for breaker in listed] == [
        ("apple_pay", AUTHORIZE),
        ("stripe", AUTHORIZE),
        ("stripe", CAPTURE),
        ("zebra", AUTHORIZE),
    ]
    assert not second.next_page_token
    only_open = await router.stub.ListCircuitBreakers(
        ListCircuitBreakersRequest(state=State.CIRCUIT_BREAKER_STATE_OPEN)
    )
    assert [breaker.processor_id for breaker in only_open.circuit_breakers] == ["stripe"]
    request.processor_id = "stripe"
    with pytest.raises(InvalidArgument), typed_errors():
        await router.stub.ListCircuitBreakers(request)


async def test_its_state_is_exported(router: RouterUnderTest) -> None:
    await _open(router)
    labels = {"processor": "stripe", "operation": "authorize"}
    value = router.telemetry.registry.get_sample_value
    assert value("circuit_breaker_state", labels) == 2
    assert value("circuit_breaker_openings_total", labels) == 1
    router.clock.advance(timedelta(seconds=60))
    await router.execute()
    assert value("circuit_breaker_state", labels) == 0
