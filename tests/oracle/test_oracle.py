"""The oracle finds nothing where all is well, and finds each thing that is not."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

import oracle
from oracle import Bounds, Objection, Record, Report, advice_on, consult
from services.ledger.store.seals import Seals
from services.runtime.rpc import connect_in_process
from tests.oracle.conftest import NO_PATIENCE, Market, unguarded

_AUTHORIZE_UNSETTLED = "settled_at = null where operation = 'authorize'"

# What is broken, and the rule by which the oracle tells.
_BREAKS = {
    "success.booked": "delete from payments.postings where kind = 'capture'",
    "success.amount": "update payments.postings set amount = amount + 1 where kind = 'capture'",
    "success.not_admitted": """
        update payments.payments set state = 'voided' where state = 'captured'""",
    "success.made_up": """
        update payments.steps set processor_reference = 'pi_nobody' where captured > 0""",
    "hold.stranger": "delete from payments.attempts where operation = 'authorize' and number = 1",
    "hold.amount": "update payments.attempts set amount = amount + 1 where operation = 'authorize'",
    "hold.forgotten": "update payments.steps set state = 'failed' where state = 'authorized'",
    "hold.gone": "update payments.steps set state = 'authorized' where state = 'voided'",
    "hold.not_taken": """
        insert into payments.postings (id, payment_id, kind, idempotency_key, amount, currency,
                                       entries, created_at)
        select uuidv7(), payment_id, 'capture', 'capture:step_' || replace(id::text, '-', ''),
               1, 'USD', '[]', now() from payments.steps where state = 'voided'""",
    "return.not_booked": "delete from payments.postings where kind = 'refund'",
    "return.amount": "update payments.postings set amount = amount + 1 where kind = 'refund'",
    "return.made_up": """
        update payments.attempts set result_reference = 're_nobody' where operation = 'refund'""",
    "posting.lost": "delete from ledger.ledger_transactions where idempotency_key like 'capture:%'",
    "posting.other": "update payments.postings set transaction_id = uuidv7()",
    "posting.entries": "update ledger.ledger_entries set account = 'platform:elsewhere'",
    "posting.captured": "update payments.steps set captured = captured + 1 where captured > 0",
    "posting.refunded": "update payments.steps set refunded = refunded - 1 where refunded > 0",
    "posting.pending": """
        update payments.postings
           set state = 'pending', transaction_id = null, posted_at = null""",
    "ledger.not_owed": "delete from payments.postings where kind = 'refund'",
    "ledger.sum": "update ledger.ledger_entries set amount = amount + 1 where leg = 1",
    "ledger.unbalanced": "update ledger.ledger_entries set amount = amount + 1 where leg = 1",
    "ledger.account": """
        update payments.steps set platform_fee = platform_fee - 1 where platform_fee > 0""",
    "headroom.exceeded": """
        alter table payments.steps drop constraint steps_headroom;
        update payments.steps set refund_reserved = captured where refunded > 0""",
    "attempt.open": f"update payments.attempts set state = 'open', {_AUTHORIZE_UNSETTLED}",
    "attempt.forgotten": f"update payments.attempts set state = 'in_doubt', {_AUTHORIZE_UNSETTLED}",
    "doubt.hidden": f"update payments.attempts set state = 'in_doubt', {_AUTHORIZE_UNSETTLED}",
    "doubt.groundless": "update payments.payments set in_doubt_since = now()",
    "payment.left": "update payments.payments set due_at = now() - interval '1 second'",
    "payment.unscheduled": f"""
        update payments.attempts
           set state = 'in_doubt', look_up_at = now(), {_AUTHORIZE_UNSETTLED}""",
    "payment.stuck": "update payments.payments set state = 'confirming' where state = 'captured'",
    "step.stuck": "update payments.steps set state = 'processing' where state = 'captured'",
    "refund.reserve": "update payments.steps set refund_reserved = 5 where captured > 0",
    "refund.part": "update payments.refund_parts set state = 'failed'",
    "state.path": """
        update payments.transitions set from_state = 'created' where to_state = 'captured'""",
    "state.nothing_taken": "update payments.payments set state = 'captured' where state = 'voided'",
    "state.taken": "update payments.payments set state = 'voided' where state = 'captured'",
    "state.refunded": "update payments.payments set state = 'refunded' where state = 'captured'",
    "call.unanswered": "update payments.idempotency set answer = null, answered_at = null",
    "event.missing": "delete from messaging.outbox where type = 'PaymentCaptured'",
    "event.numbers": "update messaging.outbox set sequence = sequence + 100",
    "event.unpublished": "update messaging.outbox set relayed_at = null",
    "event.lost": "delete from messaging.inbox",
    "event.dead": """
        insert into messaging.inbox (consumer, event_id, topic, key, partition, sequence, type,
                                     occurred_at, state, finished_at)
        values ('somebody', 'evt_1', 'payment.events', 'pay_1', 1, 1, 'PaymentCreated', now(),
                'dead', now())""",
    "event.unhandled": """
        insert into messaging.inbox (consumer, event_id, topic, key, partition, sequence, type,
                                     occurred_at, payload, headers, received_at)
        values ('somebody', 'evt_1', 'payment.events', 'pay_1', 1, 1, 'PaymentCreated', now(),
                '', '{}', now() - interval '1 second')""",
}


async def test_nothing_is_found_where_all_is_well(market: Market) -> None:
    async with connect_in_process(market.house.registry) as channel:
        report = await consult(market.owner, market.record, ledger=LedgerServiceStub(channel))
    assert report.is_clean, report
    assert report.payments == {"captured": 2, "authorized": 1, "voided": 1, "failed": 1}
    assert report.captured_minor == {"USD": 20_000}
    assert report.refunded_minor == {"USD": 1_000}
    assert report.outside["holds requires_capture"] == 1
    assert "violations: none" in str(report)


async def test_each_thing_that_is_broken_is_found(market: Market) -> None:
    missed = {}
    for rule, statement in _BREAKS.items():
        found = await _broken(market, statement)
        if rule not in {each.rule for each in found.violations}:
            missed[rule] = str(found)
    assert not missed


async def test_what_is_done_twice_at_the_processor_is_found(market: Market) -> None:
    record = market.record
    twice = Record(
        record.processors,
        [*record.holds, replace(record.holds[0], id="pi_twice")],
        [*record.returns, replace(record.returns[0], id="re_twice")],
    )
    rules = {each.rule for each in (await consult(market.owner, twice)).violations}
    assert {"hold.twice", "return.twice"} <= rules


_DISPUTED = """
insert into payments.disputes (id, payment_id, step_id, state, amount, excess, fee, funds_withdrawn,
                               funds_reinstated, reason, processor_id, processor_reference,
                               opened_at)
select uuidv7(), payment_id, id, 'opened', 500, 0, 0, true, false, 'fraudulent', 'stripe', 'du_1',
       now() from payments.steps where captured > 500 limit 1
"""


async def test_what_banks_did_is_compared_with_what_was_heard_of_it(market: Market) -> None:
    attempt_id = market.record.holds[0].attempt_id
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    objection = Objection("du_1", attempt_id, 500, 1_500, "won", True, True, an_hour_ago)
    told = replace(market.record, objections=[objection])
    just_now = replace(objection, moved_at=datetime.now(UTC))
    coming = replace(market.record, objections=[just_now])
    assert (await consult(market.owner, coming)).is_clean
    (unheard,) = (await consult(market.owner, told)).violations
    assert (unheard.rule, unheard.subject) == ("dispute.unheard", "du_1")
    inquiry = replace(objection, state="warning_needs_response")
    asked = replace(market.record, objections=[inquiry])
    assert (await consult(market.owner, asked)).is_clean
    async with market.owner.transaction():
        await unguarded(market.owner, _DISPUTED)
    differing = (await consult(market.owner, told)).violations
    found = {each.message.split()[1] for each in differing if each.rule == "dispute.differs"}
    assert found == {"fee", "state", "funds_reinstated"}
    rules = {each.rule for each in (await consult(market.owner, market.record)).violations}
    # Nothing was booked of it, either.
    assert rules == {"dispute.made_up", "ledger.account"}


async def test_a_broken_hash_block_is_found(market: Market) -> None:
    assert await Seals(market.house.database).seal_next() is not None
    async with market.owner.transaction():
        await unguarded(market.owner, "update ledger.ledger_transactions set created_at = now()")
    async with connect_in_process(market.house.registry) as channel:
        report = await consult(market.owner, market.record, ledger=LedgerServiceStub(channel))
    assert {each.rule for each in report.violations} == {"ledger.seal"}


async def test_what_is_under_way_is_no_violation_within_its_bound(market: Market) -> None:
    statement = f"update payments.attempts set state = 'open', {_AUTHORIZE_UNSETTLED}"
    found = await _broken(market, statement, Bounds(work=timedelta(hours=1)))
    assert "attempt.open" not in {each.rule for each in found.violations}


async def _broken(market: Market, statement: str, bounds: Bounds = NO_PATIENCE) -> Report:
    """What the oracle says after something was done that is undone at once."""
    transaction = market.owner.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await unguarded(market.owner, statement)
        return await consult(market.owner, market.record, bounds=bounds)
    finally:
        await transaction.rollback()


def test_every_finding_comes_with_advice() -> None:
    sources = Path(oracle.__file__).parent.glob("*.py")
    rules = {
        rule
        for source in sources
        for rule in re.findall(r'Violation\(\s*f?"([a-z_.]+)"', source.read_text())
    }
    assert len(rules) > 30
    for rule in rules | set(_BREAKS):
        assert advice_on(rule).action


def test_a_finding_that_nobody_knows_has_no_advice() -> None:
    with pytest.raises(KeyError):
        advice_on("weather.rain")
