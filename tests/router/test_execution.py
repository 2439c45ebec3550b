"""One attempt at one processor: when its answer stands, is looked up, or names another."""

import asyncio
from datetime import timedelta

import pytest
from payments.core.v1.error_code_pb2 import ErrorCode as CodeNumber
from payments.core.v1.operation_pb2 import Operation
from payments.result.v1.result_pb2 import Outcome, Result

from services.kernel.errors import (
    NotFound,
    Reason,
    SwitchyardError,
)
from services.kernel.outcome import ErrorCode
from tests.router.attempts import (
    AUTHORIZE,
    CAPTURE,
    LOOKUP,
    REFUND,
    VOID,
    attempt,
    failed,
    lookup_of,
    nothing_found,
    rules_of,
    succeeded,
    unknown,
)
from tests.router.conftest import BEGINNING, RouterUnderTest
from tests.stand_in_processors import never


async def test_a_success_is_told_as_the_processor_told_it(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, succeeded())
    response = await router.execute()
    assert response.result.outcome == Outcome.OUTCOME_SUCCEEDED
    assert response.result.processor_reference == "pi_1"
    (sent,) = response.tries
    assert (sent.number, sent.operation, sent.result) == (1, AUTHORIZE, response.result)
    assert not response.failover_to
    assert not response.decisions


@pytest.mark.parametrize("operation", [AUTHORIZE, CAPTURE, VOID, REFUND])
async def test_each_operation_goes_to_the_processor_of_the_attempt(
    router: RouterUnderTest, operation: Operation.ValueType
) -> None:
    response = await router.execute(operation=operation, processor_id="stripe")
    ((asked, request),) = router.processors.asked
    assert asked == operation
    assert request.attempt.processor_id == "stripe"
    assert response.result.success


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.DECLINED,
        ErrorCode.INSUFFICIENT_FUNDS,
        ErrorCode.EXPIRED_CARD,
        ErrorCode.INVALID_CARD,
        ErrorCode.AUTHENTICATION_REQUIRED,
        ErrorCode.UNKNOWN,
    ],
)
async def test_a_decline_is_final(router: RouterUnderTest, code: ErrorCode) -> None:
    router.processors.script(AUTHORIZE, failed(code))
    response = await router.execute()
    assert response.result.outcome == Outcome.OUTCOME_FAILED
    assert router.processors.count(AUTHORIZE) == 1
    assert not response.failover_to
    assert rules_of(response) == ["failover.not_eligible"]


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (failed(ErrorCode.NETWORK_FAILURE), "failover.network_failure"),
        (failed(ErrorCode.RATE_LIMITED), "failover.rate_limited"),
        (failed(ErrorCode.TIMEOUT), "failover.timeout"),
        (failed(ErrorCode.PROCESSING_ERROR), "failover.processing_error"),
        (failed(ErrorCode.PROCESSING_ERROR, retryable=False), "failover.processing_error"),
    ],
)
async def test_a_definite_failure_of_the_processor_names_the_next_one(
    router: RouterUnderTest, answer: Result, rule: str
) -> None:
    router.processors.script(AUTHORIZE, *[answer] * 3)
    response = await router.execute()
    assert response.failover_to == "backup"
    assert rules_of(response)[-1] == rule
    asked = {request.attempt.processor_id for _, request in router.processors.asked}
    assert asked == {"stripe"}, "the router makes no attempt of its own"


@pytest.mark.parametrize(
    ("decline_code", "soft", "goes_on"),
    [
        ("generic_decline", True, True),
        ("do_not_honor", True, True),
        ("", True, True),
        ("do_not_honor", False, False),
        ("lost_card", True, False),
        ("fraudulent", True, False),
    ],
)
async def test_a_soft_decline_goes_on_only_where_the_configuration_says_so(
    router: RouterUnderTest, decline_code: str, soft: bool, goes_on: bool
) -> None:
    router.processors.script(AUTHORIZE, failed(ErrorCode.DECLINED, decline_code=decline_code))
    response = await router.execute(soft=soft)
    assert response.failover_to == ("backup" if goes_on else "")


@pytest.mark.parametrize("operation", [CAPTURE, VOID, REFUND])
async def test_what_is_held_stays_with_the_processor_that_holds_it(
    router: RouterUnderTest, operation: Operation.ValueType
) -> None:
    router.processors.script(operation, *[failed(ErrorCode.NETWORK_FAILURE)] * 3)
    response = await router.execute(operation=operation)
    assert response.result.outcome == Outcome.OUTCOME_FAILED
    assert not response.failover_to


async def test_without_alternatives_a_failure_stands(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[failed(ErrorCode.NETWORK_FAILURE)] * 3)
    response = await router.execute(alternatives=("stripe",))
    assert not response.failover_to
    assert rules_of(response)[-1] == "failover.none_left"


@pytest.mark.parametrize("waiting", [Outcome.OUTCOME_REQUIRES_ACTION, Outcome.OUTCOME_PENDING])
async def test_what_waits_is_an_answer(router: RouterUnderTest, waiting: Outcome.ValueType) -> None:
    router.processors.script(AUTHORIZE, Result(outcome=waiting))
    response = await router.execute()
    assert response.result.outcome == waiting
    assert len(router.processors.asked) == 1
    assert not response.failover_to


async def test_an_unknown_outcome_is_looked_up(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, unknown())
    router.processors.script(LOOKUP, nothing_found(), succeeded())
    response = await router.execute()
    assert response.result.success
    assert [sent.operation for sent in response.tries] == [AUTHORIZE, LOOKUP, LOOKUP]
    assert rules_of(response) == ["lookup.unknown", "lookup.found"]


async def test_what_a_lookup_finds_to_have_failed_may_go_elsewhere(
    router: RouterUnderTest,
) -> None:
    router.processors.script(AUTHORIZE, unknown())
    router.processors.script(LOOKUP, failed(ErrorCode.PROCESSING_ERROR, retryable=False))
    response = await router.execute()
    assert response.failover_to == "backup"


async def test_an_outcome_that_stays_unknown_goes_nowhere(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, unknown())
    router.processors.script(LOOKUP, *[nothing_found()] * 50)
    response = await router.execute()
    assert response.result.outcome == Outcome.OUTCOME_UNKNOWN
    assert not response.failover_to
    assert router.processors.count(AUTHORIZE) == 1
    assert rules_of(response) == ["lookup.unknown", "lookup.unresolved"]
    assert router.clock.now() - BEGINNING <= timedelta(seconds=30)


async def test_an_outcome_that_is_not_understood_is_unknown(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, Result(outcome=99))  # type: ignore[arg-type]  # of a later version
    router.processors.script(LOOKUP, succeeded())
    response = await router.execute()
    assert [sent.operation for sent in response.tries] == [AUTHORIZE, LOOKUP]


async def test_a_processor_that_does_not_answer_is_given_up_in_time_and_looked_up(
    router: RouterUnderTest,
) -> None:
    router.processors.script(AUTHORIZE, never)
    router.processors.script(LOOKUP, succeeded())
    response = await asyncio.wait_for(router.execute(timeout_seconds=0.4), 20)
    assert response.result.success
    assert [sent.operation for sent in response.tries] == [AUTHORIZE, LOOKUP]
    assert response.tries[0].result.outcome == Outcome.OUTCOME_UNKNOWN
    assert response.tries[0].result.error_code == CodeNumber.ERROR_CODE_TIMEOUT
    assert not response.failover_to


async def test_after_its_key_is_forgotten_an_attempt_is_looked_up_and_never_sent(
    router: RouterUnderTest,
) -> None:
    router.processors.script(LOOKUP, *[nothing_found()] * 9)
    response = await router.execute(key_expires_at=BEGINNING)
    assert response.result.outcome == Outcome.OUTCOME_UNKNOWN
    assert router.processors.count(AUTHORIZE) == 0
    assert rules_of(response)[0] == "key.expired"


@pytest.mark.parametrize(
    "answer",
    [
        failed(ErrorCode.NETWORK_FAILURE),
        failed(ErrorCode.RATE_LIMITED),
        failed(ErrorCode.PROCESSING_ERROR, retryable=False),
        failed(ErrorCode.UNKNOWN, retryable=False),
        NotFound("no such processor", reason=Reason.PROCESSOR_NOT_FOUND),
    ],
)
async def test_what_was_sent_before_is_in_doubt_however_it_fails_this_time(
    router: RouterUnderTest, answer: Result | SwitchyardError
) -> None:
    for operation in (AUTHORIZE, CAPTURE):
        router.processors.script(operation, *[answer] * 3)
        router.processors.script(LOOKUP, *[nothing_found()] * 4)
        response = await router.execute(operation=operation, sent_before=True)
        assert response.result.outcome == Outcome.OUTCOME_UNKNOWN
        assert not response.failover_to


async def test_what_was_sent_before_is_in_doubt_while_its_processor_is_held_off(
    router: RouterUnderTest,
) -> None:
    router.processors.script(AUTHORIZE, *[failed(ErrorCode.NETWORK_FAILURE)] * 6)
    for _ in range(2):
        await router.execute()
    router.processors.script(LOOKUP, succeeded())
    found = await router.execute(sent_before=True)
    assert found.result.success
    assert [sent.operation for sent in found.tries] == [LOOKUP]
    router.processors.script(LOOKUP, *[nothing_found()] * 4)
    lost = await router.execute(sent_before=True)
    assert lost.result.outcome == Outcome.OUTCOME_UNKNOWN
    assert not lost.failover_to
    assert "sent.before" in rules_of(lost)


async def test_a_verdict_on_the_card_settles_what_was_sent_before(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, failed(ErrorCode.INSUFFICIENT_FUNDS))
    response = await router.execute(sent_before=True)
    assert response.result.outcome == Outcome.OUTCOME_FAILED
    assert router.processors.count(LOOKUP) == 0


@pytest.mark.parametrize(
    ("code", "native"),
    [
        (ErrorCode.PROCESSING_ERROR, "requires_confirmation"),
        (ErrorCode.UNKNOWN, "charge_disputed"),
    ],
)
async def test_the_processors_own_word_on_the_payment_settles_what_was_sent_before(
    router: RouterUnderTest, code: ErrorCode, native: str
) -> None:
    word = failed(code, retryable=False, decline_code=native)
    router.processors.script(CAPTURE, word)
    response = await router.execute(operation=CAPTURE, sent_before=True)
    assert response.result.outcome == Outcome.OUTCOME_FAILED
    assert router.processors.count(LOOKUP) == 0


async def test_a_lookup_alone_tells_what_became_of_the_attempt(router: RouterUnderTest) -> None:
    router.processors.script(LOOKUP, nothing_found(), succeeded())
    response = await router.stub.LookupAttempt(lookup_of(attempt()))
    assert response.result.success
    assert [sent.operation for sent in response.tries] == [LOOKUP, LOOKUP]


async def test_a_lookup_that_fails_leaves_the_attempt_unknown(router: RouterUnderTest) -> None:
    not_found = NotFound("no such processor", reason=Reason.PROCESSOR_NOT_FOUND)
    router.processors.script(LOOKUP, *[not_found] * 9)
    response = await router.stub.LookupAttempt(lookup_of(attempt()))
    assert response.result.outcome == Outcome.OUTCOME_UNKNOWN


async def test_tries_and_failovers_are_counted(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[failed(ErrorCode.NETWORK_FAILURE)] * 3)
    await router.execute()
    value = router.telemetry.registry.get_sample_value
    assert value("router_tries_total", {"operation": "authorize", "outcome": "failed"}) == 3
    assert value("router_failovers_total", {"rule": "failover.network_failure"}) == 1
