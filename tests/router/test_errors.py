"""Errors where a result should be: of a processor that is asked, and of a request that is bad."""

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.result.v1.result_pb2 import Outcome
from payments.router.v1.router_service_pb2 import ExecuteAttemptRequest

from services.kernel.errors import (
    InvalidArgument,
    NotFound,
    Reason,
    SwitchyardError,
    Unavailable,
)
from services.runtime.rpc import typed_errors
from tests.router.attempts import AUTHORIZE, LOOKUP, attempt
from tests.router.conftest import RouterUnderTest


@pytest.mark.parametrize(
    ("error", "outcome", "failover_to"),
    [
        (
            NotFound("no such processor", reason=Reason.PROCESSOR_NOT_FOUND),
            Outcome.OUTCOME_FAILED,
            "backup",
        ),
        (InvalidArgument("does not take it"), Outcome.OUTCOME_FAILED, "backup"),
        (
            Unavailable("going away", reason=Reason.SHUTTING_DOWN),
            Outcome.OUTCOME_FAILED,
            "backup",
        ),
        (Unavailable("connection lost"), Outcome.OUTCOME_UNKNOWN, ""),
        (RuntimeError("a defect"), Outcome.OUTCOME_UNKNOWN, ""),
    ],
)
async def test_an_error_instead_of_a_result_is_a_failure_only_where_nothing_was_sent(
    router: RouterUnderTest,
    error: SwitchyardError | RuntimeError,
    outcome: Outcome.ValueType,
    failover_to: str,
) -> None:
    router.processors.script(AUTHORIZE, *[error] * 3)
    router.processors.script(LOOKUP, *[Unavailable("connection lost")] * 9)
    response = await router.execute()
    assert response.result.outcome == outcome
    assert response.failover_to == failover_to
    assert response.result.raw.fields["problem"].string_value


async def test_a_processor_that_does_not_exist_leaves_no_breaker_behind(
    router: RouterUnderTest,
) -> None:
    router.processors.script(
        AUTHORIZE, NotFound("no such processor", reason=Reason.PROCESSOR_NOT_FOUND)
    )
    await router.execute(processor_id="nobody")
    page = router.telemetry.registry.collect()
    samples = [s.labels for metric in page for s in metric.samples if "breaker" in metric.name]
    assert not samples


def _bad_requests() -> list[tuple[ExecuteAttemptRequest, str]]:
    keyless = attempt()
    keyless.idempotency_key = ""
    lookup = attempt(operation=LOOKUP)
    unsaid = attempt(operation=Operation.OPERATION_UNSPECIFIED)
    nowhere = attempt(processor_id="")
    timeless = attempt(timeout_seconds=0)
    jittery = attempt()
    jittery.retry_policy.jitter_percent = 101
    endless = attempt()
    endless.timeout.seconds = 2**62
    return [
        (keyless, "idempotency_key"),
        (lookup, "attempt.operation"),
        (unsaid, "attempt.operation"),
        (nowhere, "attempt.processor_id"),
        (timeless, "timeout"),
        (jittery, "retry_policy"),
        (endless, "timeout"),
        (ExecuteAttemptRequest(), "attempt.operation"),
    ]


@pytest.mark.parametrize(("request_", "field"), _bad_requests())
async def test_a_bad_request_is_refused_and_nothing_is_sent(
    router: RouterUnderTest, request_: ExecuteAttemptRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await router.stub.ExecuteAttempt(request_)
    assert [violation.field for violation in refusal.value.violations] == [field]
    assert not router.processors.asked
