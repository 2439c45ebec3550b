"""What messages have in common: moments, spans, failures, and what a page is tied to."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1.error_reason_pb2 import ErrorReason
from payments.ledger.v1.ledger_service_pb2 import (
    GetBalanceRequest,
    ListEntriesRequest,
    ListTransactionsRequest,
)

from services.kernel.errors import FailedPrecondition, FieldViolation, InvalidArgument, Reason
from services.kernel.retry import RetryPolicy
from services.runtime.wire.failures import failure_message
from services.runtime.wire.listing import filters_of
from services.runtime.wire.moments import duration, optional_moment, timestamp
from services.runtime.wire.retry import retry_policy_message

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_a_moment_that_is_left_out_is_none() -> None:
    assert optional_moment(GetBalanceRequest(), "as_of") is None
    assert timestamp(None) is None


def test_a_moment_is_read_as_it_was_written() -> None:
    assert optional_moment(GetBalanceRequest(as_of=timestamp(NOON)), "as_of") == NOON


@pytest.mark.parametrize("seconds", [-(2**62), 2**62, 253_402_300_800])
def test_a_moment_that_no_calendar_has_is_refused_by_its_name(seconds: int) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        optional_moment(GetBalanceRequest(as_of=Timestamp(seconds=seconds)), "as_of")
    (violation,) = refusal.value.violations
    assert (violation.field, violation.rule) == ("as_of", "timestamp.range")
    assert refusal.value.message == f"as_of {violation.message}"


def test_what_is_not_there_is_left_out() -> None:
    assert duration(None) is None
    assert retry_policy_message(None) is None


def test_a_retry_policy_says_all_of_itself() -> None:
    policy = RetryPolicy(3, timedelta(milliseconds=200), timedelta(seconds=2), 150, 50)
    message = retry_policy_message(policy)
    assert message is not None
    assert message.max_tries == policy.max_tries
    assert message.initial_backoff.ToTimedelta() == policy.initial_backoff
    assert message.max_backoff.ToTimedelta() == policy.max_backoff
    assert message.backoff_growth_percent == policy.backoff_growth_percent
    assert message.jitter_percent == policy.jitter_percent


def test_a_failure_names_its_reason_and_every_field() -> None:
    error = FailedPrecondition(
        "no processor takes it",
        reason=Reason.NO_CANDIDATE,
        violations=[FieldViolation("amount", "amount.range", "is too much")],
        details={"candidates": "0"},
    )
    failure = failure_message(error)
    assert failure.reason == ErrorReason.ERROR_REASON_NO_CANDIDATE
    assert failure.message == error.message
    assert [(v.field, v.rule, v.message) for v in failure.violations] == [
        ("amount", "amount.range", "is too much")
    ]
    assert dict(failure.details) == error.details


def test_a_page_is_tied_to_all_of_its_request_but_the_paging() -> None:
    request = ListEntriesRequest(account="A", currency="USD")
    paged = ListEntriesRequest(account="A", currency="USD", page_size=5, page_token="t")  # noqa: S106 -- a page's
    assert filters_of(request) == filters_of(paged)
    assert paged.page_size == 5
    assert filters_of(ListEntriesRequest(account="B", currency="USD")) != filters_of(request)
    assert filters_of(ListTransactionsRequest()) != filters_of(ListEntriesRequest())
