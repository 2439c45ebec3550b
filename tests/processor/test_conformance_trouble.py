"""What every adapter keeps to when answers are lost or spoilt, or an attempt is sent again.

The other half of test_conformance, over the same processors. At Stripe itself nothing can be
ordered to go wrong, and those facts are skipped.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payments.processor.v1 import processor_service_pb2 as pb

from tests.processor.house import FACTS, House, error_code, outcome, times

MONEY_OPERATIONS = ("authorize", "charge", "capture", "void", "refund")


@pytest.fixture
def faulty(house: House) -> House:
    if house.strike is None:
        pytest.skip("nothing can be ordered to go wrong at Stripe itself")
    return house


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_a_lookup_of_what_was_never_sent_leaves_it_unknown_and_moves_nothing(
    house: House, operation: str
) -> None:
    attempt = await house.prepared(operation)
    found = await house.lookup(attempt)
    assert outcome(found) == "UNKNOWN"
    assert not found.anomaly
    assert outcome(await house.send(attempt)) == "SUCCEEDED"
    assert outcome(await house.lookup(attempt)) == "SUCCEEDED"


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "is_anomaly"),
    [
        ("reply_lost", False),
        ("garbage", True),
        ("wrong_amount", True),
        ("wrong_currency", True),
    ],
)
async def test_an_answer_lost_or_spoilt_is_unknown_and_the_lookup_finds_what_was_done(
    faulty: House, operation: str, fault: str, is_anomaly: bool
) -> None:
    attempt = await faulty.prepared(operation)
    assert faulty.strike
    await faulty.strike(operation, fault)
    result = await faulty.send(attempt)
    assert outcome(result) == "UNKNOWN"
    assert not result.success
    assert not result.retryable
    assert result.amount_processed.amount_minor == 0
    assert bool(result.anomaly) is is_anomaly
    found = await faulty.lookup(attempt)
    assert outcome(found) == "SUCCEEDED", found
    assert found.amount_processed.amount_minor == attempt.amount.amount_minor
    assert await times(faulty, FACTS[operation], attempt.id, found.processor_reference) == 1


async def test_an_answer_that_never_comes_is_unknown_in_time(faulty: House) -> None:
    attempt = faulty.attempt("authorize")
    assert faulty.strike
    await faulty.strike("authorize", "hang")
    result = await faulty.send(attempt, timeout_seconds=3)
    assert (outcome(result), error_code(result)) == ("UNKNOWN", "TIMEOUT")
    assert result.latency_ms < 3_000
    assert outcome(await faulty.lookup(attempt)) == "SUCCEEDED"


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_a_processor_that_is_busy_has_done_nothing_and_may_be_asked_again(
    faulty: House, operation: str
) -> None:
    attempt = await faulty.prepared(operation)
    assert faulty.strike
    await faulty.strike(operation, "rate_limited")
    result = await faulty.send(attempt)
    assert (outcome(result), error_code(result)) == ("FAILED", "RATE_LIMITED")
    assert result.retryable
    assert outcome(await faulty.send(attempt)) == "SUCCEEDED"
    found = await faulty.lookup(attempt)
    assert await times(faulty, FACTS[operation], attempt.id, found.processor_reference) == 1


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_a_processor_in_trouble_leaves_it_unknown(faulty: House, operation: str) -> None:
    attempt = await faulty.prepared(operation)
    assert faulty.strike
    await faulty.strike(operation, "server_error")
    result = await faulty.send(attempt)
    assert (outcome(result), error_code(result)) == ("UNKNOWN", "PROCESSING_ERROR")
    assert not result.retryable
    assert outcome(await faulty.lookup(attempt)) == "UNKNOWN"


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_many_sending_the_same_attempt_at_once_do_it_once(
    house: House, operation: str
) -> None:
    attempt = await house.prepared(operation)
    results = await asyncio.gather(*(house.send(attempt) for _ in range(5)))
    assert {outcome(result) for result in results} <= {"SUCCEEDED", "UNKNOWN"}
    found = await house.lookup(attempt)
    assert outcome(found) == "SUCCEEDED"
    references = {r.processor_reference for r in results if outcome(r) == "SUCCEEDED"}
    assert references <= {found.processor_reference}
    assert await times(house, FACTS[operation], attempt.id, found.processor_reference) == 1


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_a_key_that_may_be_forgotten_is_never_sent_again(
    house: House, operation: str
) -> None:
    attempt = await house.prepared(operation)
    attempt.key_expires_at.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    assert outcome(await house.send(attempt)) == "UNKNOWN"
    assert outcome(await house.lookup(attempt)) == "UNKNOWN"
    assert await times(house, FACTS[operation], attempt.id, attempt.processor_reference) == 0


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_what_was_done_is_found_when_the_key_may_be_forgotten(
    house: House, operation: str
) -> None:
    attempt = await house.prepared(operation)
    sent = await house.send(attempt)
    attempt.key_expires_at.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    found = await house.lookup(attempt)
    assert outcome(found) == "SUCCEEDED"
    assert found.processor_reference == sent.processor_reference


async def test_a_key_used_for_another_attempt_is_an_anomaly(house: House) -> None:
    first, second = house.attempt("authorize", 1250), house.attempt("authorize", 1300)
    await house.send(first)
    response = await house.stub.Authorize(
        pb.AuthorizeRequest(attempt=second, idempotency_key=first.id),
        timeout=house.timeout_seconds,
    )
    assert outcome(response.result) == "UNKNOWN"
    assert "key" in response.result.anomaly
