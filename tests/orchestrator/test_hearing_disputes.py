"""What processors tell of disputes: opened, won, lost, and the money they move."""

from typing import Any

import pytest

from services.kernel.outcome import Outcome
from services.orchestrator.domain.applied import Disposition, FactKind
from services.orchestrator.domain.state import DisputeState, PaymentState
from tests.orchestrator.news import (
    NOW,
    Story,
    asked,
    booked,
    dispute_fact,
    fact,
    keys,
    refund_fact,
    state_of,
    taken,
)
from tests.plan_builder.orders import MERCHANT, money

APPLIED, KNOWN = Disposition.APPLIED, Disposition.KNOWN
STALE, UNMATCHED = Disposition.STALE, Disposition.UNMATCHED
PENDING, PAID = FactKind.REFUND_PENDING, FactKind.REFUND_SUCCEEDED
CLEARING = "processor:simulated:clearing"
PAYABLE, DISPUTED = f"merchant:{MERCHANT}:payable", f"merchant:{MERCHANT}:disputed"


def test_a_lost_dispute_is_booked_as_the_chart_of_the_ledger_says() -> None:
    story = taken()
    fee = money(1_500)
    story.hear(dispute_fact(FactKind.DISPUTE_OPENED))
    assert state_of(story) is PaymentState.DISPUTED
    story.hear(dispute_fact(FactKind.DISPUTE_FUNDS_WITHDRAWN, fee=fee))
    assert story.payment.total("disputed") == money(5_000)
    assert story.payment.total("refundable") == money(5_000)
    sums = booked(story.postings[1:])
    assert sums == {CLEARING: 6_500, DISPUTED: -5_000, PAYABLE: -1_500}
    story.hear(dispute_fact(FactKind.DISPUTE_LOST))
    assert booked(story.postings[1:]) == {CLEARING: 6_500, PAYABLE: -6_500}
    (dispute,) = story.payment.disputes
    assert [each.idempotency_key for each in story.postings[1:]] == [
        f"dispute_{word}:{dispute.id}" for word in ("opened", "fee", "lost")
    ]
    assert story.payment.total("disputed") == money(5_000)
    assert story.told.count("PaymentDisputed") == story.told.count("PaymentDisputeClosed") == 1


@pytest.mark.parametrize(
    ("kind", "sums"),
    [
        (FactKind.DISPUTE_LOST, {CLEARING: 5_000, PAYABLE: -5_000}),
        (FactKind.DISPUTE_FUNDS_REINSTATED, {}),
    ],
)
def test_what_was_lost_or_given_back_had_been_withdrawn_though_nobody_said_so(
    kind: FactKind, sums: dict[str, int]
) -> None:
    story = taken()
    story.hear(dispute_fact(kind))
    assert story.payment.disputes[0].funds_withdrawn
    assert "dispute_opened" in keys(story.postings)
    assert booked(story.postings[1:]) == sums


def test_a_won_dispute_frees_its_amount_and_the_payment_stays_disputed() -> None:
    story = taken()
    for kind in (
        FactKind.DISPUTE_FUNDS_WITHDRAWN,
        FactKind.DISPUTE_WON,
        FactKind.DISPUTE_FUNDS_REINSTATED,
    ):
        assert story.hear(dispute_fact(kind)).disposition is APPLIED
        assert story.hear(dispute_fact(kind)).disposition is KNOWN
    assert state_of(story) is PaymentState.DISPUTED
    assert story.payment.total("refundable") == money(10_000)
    assert booked(story.postings[1:]) == {}
    story.payment.refund(None, "", "ref-1", NOW)
    story.finish()
    assert state_of(story) is PaymentState.DISPUTED
    assert story.payment.total("refunded") == money(10_000)


def test_a_dispute_of_what_was_refunded_is_excess_and_the_payment_stays_refunded() -> None:
    story = taken()
    story.hear(refund_fact(PAID, 10_000))
    heard = story.hear(dispute_fact(FactKind.DISPUTE_OPENED))
    assert (heard.disposition, heard.is_alarming) == (APPLIED, True)
    payment = story.payment
    assert state_of(story) is PaymentState.REFUNDED
    assert payment.total("excess") == payment.disputes[0].excess == money(5_000)
    assert payment.standing.needs_reconciliation
    story.hear(dispute_fact(FactKind.DISPUTE_WON))
    assert payment.total("excess") == payment.disputes[0].excess == money(0)


def test_of_two_disputes_the_newer_one_exceeds() -> None:
    story = taken()
    newer = NOW.replace(hour=9)
    story.hear(
        dispute_fact(FactKind.DISPUTE_OPENED, 8_000, object_id="dp_new", occurred_at=newer),
        dispute_fact(FactKind.DISPUTE_OPENED, 7_000, object_id="dp_old"),
    )
    excess = {each.processor_reference: each.excess for each in story.payment.disputes}
    assert excess == {"dp_new": money(5_000), "dp_old": money(0)}


def test_a_dispute_of_what_came_late_is_recorded_as_excess() -> None:
    story = Story(asked())
    story.answer(Outcome.FAILED)
    named: dict[str, Any] = {"attempt_id": story.first.id}
    story.hear(fact(FactKind.CAPTURED, 10_000, **named))
    heard = story.hear(dispute_fact(FactKind.DISPUTE_OPENED, **named))
    assert heard.is_alarming
    assert state_of(story) is PaymentState.FAILED
    assert story.payment.disputes[0].excess == money(5_000)


@pytest.mark.parametrize(
    "said",
    [
        {"kind": FactKind.DISPUTE_LOST},
        {"kind": FactKind.DISPUTE_WON, "amount_minor": 4_000},
        {"kind": FactKind.DISPUTE_WON, "fee": money(100, "EUR")},
    ],
)
def test_facts_that_cannot_all_be_so_are_for_a_person_to_look_at(said: dict[str, Any]) -> None:
    story = taken()
    story.hear(dispute_fact(FactKind.DISPUTE_WON))
    heard = story.hear(dispute_fact(**said))
    assert (heard.disposition, heard.is_alarming) == (STALE, True)
    assert story.payment.disputes[0].state is DisputeState.WON
    assert story.payment.standing.needs_reconciliation
    assert story.payment.disputes[0].fee == money(0)
