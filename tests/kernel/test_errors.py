"""The error family: closed, told apart by reason, readable, and able to cross a process."""

import pickle
from datetime import timedelta

import pytest

from services.kernel import errors
from services.kernel.errors import FieldViolation, Reason, SwitchyardError

FAMILY = [
    (errors.InvalidArgument, Reason.INVALID_ARGUMENT),
    (errors.NotFound, Reason.NOT_FOUND),
    (errors.Conflict, Reason.ALREADY_EXISTS),
    (errors.InFlight, Reason.IDEMPOTENCY_IN_FLIGHT),
    (errors.FailedPrecondition, Reason.ILLEGAL_STATE_TRANSITION),
    (errors.PermissionDenied, Reason.PERMISSION_DENIED),
    (errors.Unauthenticated, Reason.UNAUTHENTICATED),
    (errors.ResourceExhausted, Reason.RATE_LIMITED),
    (errors.Unavailable, Reason.SERVICE_UNAVAILABLE),
    (errors.DeadlineExceeded, Reason.DEADLINE_EXCEEDED),
    (errors.Internal, Reason.INTERNAL),
]


@pytest.mark.parametrize(("kind", "reason"), FAMILY)
def test_each_kind_has_a_default_reason(kind: type[SwitchyardError], reason: Reason) -> None:
    assert kind("it broke").reason is reason


def test_the_family_is_closed() -> None:
    assert set(SwitchyardError.__subclasses__()) == {kind for kind, _ in FAMILY}
    assert not any(kind.__subclasses__() for kind, _ in FAMILY)


def test_every_reason_is_named_as_it_is_spelt() -> None:
    assert [reason.name for reason in Reason] == [reason.value for reason in Reason]


@pytest.mark.parametrize("kind", [kind for kind, _ in FAMILY])
def test_an_error_survives_pickling_whole(kind: type[SwitchyardError]) -> None:
    error = kind(
        "limit reached",
        reason=Reason.QUEUE_FULL,
        violations=[FieldViolation("amount", "amount.positive", "must be above zero")],
        details={"limit": "5"},
        retry_after=timedelta(seconds=30),
    )

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- what this test is about

    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_the_text_of_an_error_names_reason_field_and_rule() -> None:
    error = errors.InvalidArgument(
        "the request was refused",
        violations=[FieldViolation("amount", "amount.positive", "must be above zero")],
    )

    assert str(error) == (
        "the request was refused [INVALID_ARGUMENT]: amount: must be above zero (amount.positive)"
    )
    assert str(errors.NotFound("no such payment")) == "no such payment [NOT_FOUND]"


def test_details_are_a_copy_of_what_was_given() -> None:
    given = {"limit": "5"}
    error = errors.ResourceExhausted("limit reached", details=given)
    given["limit"] = "6"

    assert error.details == {"limit": "5"}
