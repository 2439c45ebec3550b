"""The rules of a payment, without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from services.kernel.context import CoreRequestContext
from services.kernel.errors import FailedPrecondition, InvalidArgument, Reason
from services.kernel.outcome import ErrorCode, Outcome
from services.orchestrator.domain.attempt import Attempt, Evidence, Execution, Redirect
from services.orchestrator.domain.payment import Payment
from services.orchestrator.domain.posting import MAX_TRIES, pause_after
from services.orchestrator.domain.state import (
    ALLOWED_MOVES,
    Operation,
    PaymentState,
    PostingState,
    check_move,
)
from services.orchestrator.translate.plan import plan_from_message
from services.orchestrator.translate.request import request_from_message
from tests.orchestrator.orders import execution

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DONE = Execution(Outcome.SUCCEEDED, reference="pi_1", latency_ms=7)


def _request() -> CoreRequestContext:
    return request_from_message(execution().context)


def _confirmed(*processors: str) -> Payment:
    payment = Payment.create(_request(), NOW)
    plan = execution(processors=processors or ("simulated",)).plan
    payment.confirm(plan_from_message(plan), NOW)
    return payment


def _open(payment: Payment) -> Attempt | None:
    return next(iter(payment.to_send), None)


def _settle(payment: Payment, execution: Execution, now: datetime = NOW) -> None:
    attempt = _open(payment)
    assert attempt is not None
    payment.settle(attempt.id, execution, now)


def captured() -> Payment:
    """A payment that was taken, with nothing left to carry out."""
    payment = _confirmed()
    while payment.to_send:
        _settle(payment, DONE)
    payment.collect_changes()
    return payment


@pytest.mark.parametrize("before", PaymentState)
@pytest.mark.parametrize("after", PaymentState)
def test_every_move_is_one_of_the_pairs_or_refused(
    before: PaymentState, after: PaymentState
) -> None:
    if after in ALLOWED_MOVES[before]:
        check_move(before, after)
        return
    with pytest.raises(FailedPrecondition) as refused:
        check_move(before, after)
    assert refused.value.reason is Reason.ILLEGAL_STATE_TRANSITION
    assert refused.value.details["state"] == before.name
    for allowed in ALLOWED_MOVES[before]:
        assert allowed.name in refused.value.details["allowed"]


def test_a_payment_is_confirmed_once() -> None:
    payment = _confirmed()
    with pytest.raises(FailedPrecondition, match="CONFIRMING cannot be confirmed"):
        payment.confirm(plan_from_message(execution().plan), NOW)


def test_a_payment_under_way_has_exactly_one_open_attempt() -> None:
    payment = _confirmed()
    asked = []
    while (attempt := _open(payment)) is not None:
        asked.append(attempt.operation)
        payment.settle(attempt.id, DONE, NOW)
    assert asked == [Operation.AUTHORIZE, Operation.CAPTURE]
    assert payment.standing.state is PaymentState.CAPTURED
    assert payment.posting_state is PostingState.PENDING


def test_a_fact_that_is_known_changes_nothing() -> None:
    payment = _confirmed()
    attempt = _open(payment)
    assert attempt is not None
    payment.settle(attempt.id, DONE, NOW)
    payment.collect_changes()
    for told in (DONE, Execution(Outcome.FAILED), Execution(Outcome.UNKNOWN)):
        payment.settle(attempt.id, told, NOW)
    assert not payment.has_changes


def test_what_is_in_doubt_can_still_become_known() -> None:
    payment = _confirmed()
    attempt = _open(payment)
    assert attempt is not None
    payment.settle(attempt.id, Execution(Outcome.UNKNOWN), NOW)
    assert _open(payment) is None
    payment.collect_changes()
    payment.settle(attempt.id, Execution(Outcome.UNKNOWN), NOW + timedelta(seconds=1))
    assert not payment.collect_changes().events
    payment.settle(attempt.id, DONE, NOW + timedelta(seconds=2))
    assert payment.standing.in_doubt_since is None
    assert payment.standing.state is PaymentState.AUTHORIZED


@pytest.mark.parametrize(
    ("evidence", "missing"),
    [
        (Evidence(Outcome.UNKNOWN, "pi_1", "dashboard", "maria"), "outcome"),
        (Evidence(Outcome.SUCCEEDED, "pi_1", " ", "maria"), "source"),
        (Evidence(Outcome.FAILED, "pi_1", "dashboard", ""), "source"),
        (Evidence(Outcome.SUCCEEDED, None, "dashboard", "maria"), "processor_reference"),
    ],
)
def test_a_doubt_is_ended_by_whole_evidence_alone(evidence: Evidence, missing: str) -> None:
    payment = _confirmed()
    _settle(payment, Execution(Outcome.UNKNOWN))
    payment.collect_changes()
    with pytest.raises(InvalidArgument) as refused:
        payment.resolve(None, evidence, NOW)
    assert refused.value.reason is Reason.EVIDENCE_REQUIRED
    assert [each.field for each in refused.value.violations] == [f"evidence.{missing}"]
    assert not payment.has_changes


def test_who_never_authenticates_is_waited_for_an_hour() -> None:
    payment = _confirmed()
    attempt = _open(payment)
    assert attempt is not None
    asked = Execution(
        Outcome.REQUIRES_ACTION,
        "pi_1",
        redirect=Redirect("https://bank.example", "https://m.example"),
    )
    for minutes in (0, 59):
        payment.settle(attempt.id, asked, NOW + timedelta(minutes=minutes), "lookup")
        assert (payment.state, payment.to_send) == (PaymentState.CONFIRMING, ())
    payment.settle(attempt.id, asked, NOW + timedelta(minutes=60), "lookup")
    assert [each.operation for each in payment.to_send] == [Operation.VOID]
    _settle(payment, DONE, NOW + timedelta(minutes=60))
    assert payment.state is PaymentState.FAILED


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.PENDING])
def test_doubt_is_never_failed_over(outcome: Outcome) -> None:
    payment = _confirmed("simulated", "backup")
    _settle(payment, Execution(outcome, failover_to="backup"))
    assert _open(payment) is None
    assert len(payment.attempts) == 1
    assert payment.standing.state is PaymentState.CONFIRMING


@pytest.mark.parametrize(
    ("failover_to", "later", "goes_on"),
    [
        ("backup", timedelta(seconds=1), True),
        ("backup", timedelta(seconds=31), False),
        ("simulated", timedelta(0), False),
        ("stranger", timedelta(0), False),
        (None, timedelta(0), False),
    ],
)
def test_failover_is_to_a_candidate_not_tried_within_the_time_of_the_step(
    failover_to: str | None, later: timedelta, goes_on: bool
) -> None:
    payment = _confirmed("simulated", "backup")
    broken = Execution(
        Outcome.FAILED, error_code=ErrorCode.NETWORK_FAILURE, failover_to=failover_to
    )
    _settle(payment, broken, NOW + later)
    assert (_open(payment) is not None) is goes_on
    assert (payment.standing.state is PaymentState.FAILED) is not goes_on


def test_an_attempt_has_what_is_left_of_the_time_of_its_step() -> None:
    payment = _confirmed("simulated", "backup")
    broken = Execution(Outcome.FAILED, error_code=ErrorCode.NETWORK_FAILURE, failover_to="backup")
    _settle(payment, broken, NOW + timedelta(seconds=20))
    attempt = _open(payment)
    assert attempt is not None
    order = payment.order_for(attempt, NOW + timedelta(seconds=20))
    assert order.timeout == timedelta(seconds=10)
    assert order.alternatives == ()
    found_much_later = payment.order_for(attempt, NOW + timedelta(hours=1))
    assert found_much_later.timeout == timedelta(seconds=30)


def test_pauses_grow_to_a_minute_and_leave_a_ledger_minutes_to_come_back() -> None:
    pauses = [pause_after(tries) for tries in range(1, MAX_TRIES)]
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8)]
    assert max(pauses) == timedelta(minutes=1)
    assert sum(pauses, timedelta(0)) > timedelta(minutes=5)
