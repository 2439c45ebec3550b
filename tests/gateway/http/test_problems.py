"""Each kind of error has a status, a page, and says when to come back."""

from datetime import timedelta

import pytest

from gateway.kinds import KINDS
from gateway.problems import Problems, merchants_name
from gateway.routes.pages import operations
from services.kernel.errors import (
    Conflict,
    FailedPrecondition,
    FieldViolation,
    InFlight,
    Internal,
    InvalidArgument,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from services.kernel.ids import RequestId

_PROBLEMS = Problems("https://pay.example")
_REQUEST = RequestId.new()
_CARD = "4242424242424242"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_kind_and_a_place_on_the_page_of_problems(reason: Reason) -> None:
    assert 400 <= KINDS[reason].status < 600
    told = _PROBLEMS.of_error(FailedPrecondition("why", reason=reason), _REQUEST)
    assert (told.status, told.body["code"]) == (KINDS[reason].status, reason.lower())
    assert told.body["type"] == f"https://pay.example/docs/problems#{reason.lower()}"
    (page,) = (each for each in operations(b"{}") if each.path == "/docs/problems")
    assert page.name == "/docs/problems"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (ResourceExhausted("slow down", retry_after=timedelta(seconds=90.2)), 429, "91"),
        (Unavailable("busy", reason=Reason.DATABASE_BUSY), 503, "1"),
        (ResourceExhausted("full", reason=Reason.QUEUE_FULL), 503, "1"),
        (InFlight("running", retry_after=timedelta(seconds=1)), 409, "1"),
        (InFlight("changed", reason=Reason.STALE_VERSION), 409, None),
        (Conflict("used", reason=Reason.IDEMPOTENCY_KEY_REUSED), 422, None),
    ],
)
def test_what_may_go_better_later_says_when_to_come_back(
    error: Unavailable, status: int, retry_after: str | None
) -> None:
    told = _PROBLEMS.of_error(error, _REQUEST)
    assert (told.status, told.headers.get("Retry-After")) == (status, retry_after)


def test_a_card_number_in_an_error_is_not_told() -> None:
    error = InvalidArgument(
        f"no {_CARD}",
        violations=[FieldViolation("note", "card.number", f"holds {_CARD}")],
        details={"note": _CARD},
    )
    assert _CARD not in str(_PROBLEMS.of_error(error, _REQUEST).body)


def test_the_platform_s_own_fault_names_no_field() -> None:
    error = Internal("boom", violations=[FieldViolation("rows", "rows.known", "are not")])
    told = _PROBLEMS.of_error(error, _REQUEST)
    assert (told.status, told.body["param"]) == (500, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("instrument.token", "payment_method"),
        ("context.instrument.method", "method"),
        ("steps[1].instrument.token", "steps[1].payment_method"),
        ("plan.steps[0].payment_method", "payment_method"),
        ("plan.steps[1].payment_method", "steps[1].payment_method"),
        ("page_token", "cursor"),
        ("page_size", "limit"),
        ("entries[1].amount.amount_minor", "entries[1].amount"),
        ("metadata.order", "metadata.order"),
    ],
)
def test_fields_are_named_as_merchants_name_them(path: str, name: str) -> None:
    assert merchants_name(path) == name
