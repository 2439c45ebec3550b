"""A failure that may pass: sent again under the same key, a few times and while there is time."""

import pytest

from services.kernel.outcome import ErrorCode
from tests.router.attempts import AUTHORIZE, failed, rules_of, succeeded
from tests.router.conftest import RouterUnderTest


@pytest.mark.parametrize(
    "code", [ErrorCode.NETWORK_FAILURE, ErrorCode.RATE_LIMITED, ErrorCode.PROCESSING_ERROR]
)
async def test_a_passing_failure_is_tried_again_under_the_same_key(
    router: RouterUnderTest, code: ErrorCode
) -> None:
    router.processors.script(AUTHORIZE, failed(code), failed(code), succeeded())
    response = await router.execute(key="key-1")
    assert response.result.success
    assert rules_of(response) == [f"retry.{code}", f"retry.{code}"]
    asked = [request for _, request in router.processors.asked]
    assert {request.idempotency_key for request in asked} == {"key-1"}
    assert len({request.attempt.id for request in asked}) == 1
    # Half of 200 ms and half of 400 ms: what is waited is up to chance, all of it.
    assert router.waits_seconds == pytest.approx([0.1, 0.2])


async def test_it_is_tried_three_times_at_most(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[failed(ErrorCode.NETWORK_FAILURE)] * 9)
    response = await router.execute(max_tries=9, alternatives=())
    assert len(response.tries) == 3
    assert router.processors.count(AUTHORIZE) == 3
    assert "retry.exhausted" in rules_of(response)


async def test_a_policy_of_one_try_is_kept(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, failed(ErrorCode.NETWORK_FAILURE))
    response = await router.execute(max_tries=1)
    assert len(response.tries) == 1


async def test_there_is_no_try_for_which_no_time_is_left(router: RouterUnderTest) -> None:
    router.processors.script(AUTHORIZE, *[failed(ErrorCode.NETWORK_FAILURE)] * 3)
    response = await router.execute(timeout_seconds=0.1)
    assert len(response.tries) == 1
    assert rules_of(response) == ["retry.no_time", "failover.network_failure"]
