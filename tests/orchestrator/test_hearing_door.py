"""The door for processor events, through the contract and a real database."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2 as story_pb
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.result.v1.result_pb2 import Result

from services.kernel.errors import InvalidArgument
from services.kernel.ids import AttemptId, WebhookEventId
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse, running_house
from tests.orchestrator.door import attempt_id_in, captured, tell, telling
from tests.orchestrator.orders import execution, succeeded, usd
from tests.stand_in_processors import StandInProcessors

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
APPLIED = story_pb.EVENT_DISPOSITION_APPLIED
KNOWN = story_pb.EVENT_DISPOSITION_KNOWN
UNMATCHED = story_pb.EVENT_DISPOSITION_UNMATCHED
IGNORED = story_pb.EVENT_DISPOSITION_IGNORED

_TABLES = ("applied_events", "refunds", "refund_parts", "disputes", "postings", "transitions")


async def _until_matched(house: House, request: pb.ApplyProcessorEventRequest) -> Any:
    """Ask again while no payment belongs to it yet, as the webhook service does."""
    async with asyncio.timeout(60):
        while True:
            told = await tell(house, request)
            if told.disposition != UNMATCHED:
                return told
            await asyncio.sleep(0.05)


async def _counts(house: House) -> dict[str, int]:
    return {table: await house.count(table) for table in _TABLES}


_STORY = (
    ("AUTHORIZED", usd(10_000), "pi_1"),
    ("CAPTURED", usd(10_000), "pi_1"),
    ("REFUND_SUCCEEDED", usd(3_000), "re_1"),
    ("DISPUTE_OPENED", usd(5_000), "dp_1"),
    ("DISPUTE_FUNDS_WITHDRAWN", usd(5_000), "dp_1"),
    ("DISPUTE_WON", usd(5_000), "dp_1"),
    ("DISPUTE_FUNDS_REINSTATED", usd(5_000), "dp_1"),
)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_hundred_at_once_in_any_order_while_the_answer_is_out_come_to_the_same(
    application_url: str, seed: int
) -> None:
    processors = StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events
    gate = asyncio.Event()

    async def slowly() -> Result:
        await gate.wait()
        return succeeded("pi_1")

    processors.script(AUTHORIZE, slowly)
    async with running_house(application_url, processors) as house:
        paying = asyncio.create_task(house.execute(execution()))
        attempt_id = await attempt_id_in(house)
        news = [
            telling(kind, number, amount=amount, object_id=name)
            for number, (kind, amount, name) in enumerate(_STORY)
        ]
        for request in news[:2]:
            request.event.attempt_id = attempt_id
        crowd = [request for request in news for _ in range(15)]
        random.Random(seed).shuffle(crowd)
        telling_all = asyncio.gather(*(_until_matched(house, request) for request in crowd))
        await asyncio.sleep(0.05 * (seed - 1))
        gate.set()
        told = await telling_all
        answered = await paying
        assert answered.state in (
            PaymentState.PAYMENT_STATE_CAPTURED,
            PaymentState.PAYMENT_STATE_DISPUTED,
        )
        payment = await house.get(answered.id)
        assert payment.state == PaymentState.PAYMENT_STATE_DISPUTED
        assert (payment.amount_captured, payment.amount_refunded) == (usd(10_000), usd(3_000))
        assert (payment.amount_disputed, payment.amount_excess) == (usd(0), usd(0))
        assert not payment.needs_reconciliation
        firsts = [each for each in told if not each.replayed]
        assert len(firsts) == len(_STORY) == await house.count("applied_events")
        rows = await house.rows("select operation from payments.attempts order by number")
        # An event that tells of the whole amount may be quicker than the capture of the hold.
        assert [row["operation"] for row in rows] in (["authorize"], ["authorize", "capture"])
        assert processors.count(CAPTURE) <= 1
        kinds = await house.rows("select kind from payments.postings")
        assert Counter(row["kind"] for row in kinds) == {
            "capture": 1,
            "refund": 1,
            "dispute_withdrawal": 1,
            "dispute_reinstatement": 1,
        }


async def test_two_processes_hear_the_same_event_once(application_url: str) -> None:
    processors = StandInProcessors()  # type: ignore[abstract]  # it normalizes and lists no events
    processors.script(AUTHORIZE, succeeded("pi_1"))
    async with (
        running_house(application_url, processors) as one,
        running_house(application_url, processors) as other,
    ):
        payment = await one.execute(execution())
        news = [
            telling("REFUND_SUCCEEDED", number, amount=usd(100), object_id=f"re_{number}")
            for number in range(10)
        ]
        told = await asyncio.gather(
            *(tell(house, request) for request in news for house in (one, other))
        )
        assert all(each.disposition == APPLIED for each in told)
        assert sum(each.replayed for each in told) == len(news)
        assert (await one.get(payment.id)).amount_refunded == usd(1_000)
        assert await one.count("applied_events") == len(news)


async def test_an_event_told_again_is_told_as_it_was_then(scripted: ScriptedHouse) -> None:
    payment = await captured(scripted)
    request = telling("REFUND_SUCCEEDED", 1, amount=usd(3_000), object_id="re_1")
    first = await tell(scripted.house, request)
    assert (first.disposition, first.replayed) == (APPLIED, False)
    assert (first.payment_id, first.merchant_id) == (payment.id, payment.merchant_id)
    again = await tell(scripted.house, request)
    assert again.replayed
    again.replayed = False
    assert again == first
    by_another = telling("REFUND_SUCCEEDED", 2, amount=usd(3_000), object_id="re_1")
    assert (await tell(scripted.house, by_another)).disposition == KNOWN
    rows = await scripted.house.rows(
        "select disposition, webhook_event_id from payments.applied_events order by event_id"
    )
    assert [row["disposition"] for row in rows] == ["applied", "known"]
    assert WebhookEventId.of_hex(rows[0]["webhook_event_id"].hex) == request.webhook_event_id


async def test_what_belongs_to_nobody_writes_nothing_and_may_be_asked_again(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house
    stranger = telling("CAPTURED", 1, amount=usd(1), attempt_id=AttemptId.new())
    odd = telling("CAPTURED", 2, amount=usd(1), attempt_id="somebody else's metadata")
    before = await _counts(house)
    for request in (stranger, odd):
        told = await tell(house, request)
        assert (told.disposition, told.payment_id, told.replayed) == (UNMATCHED, "", False)
    assert (await tell(house, telling("IGNORED", 3))).disposition == IGNORED
    assert await _counts(house) == before
    await captured(scripted)
    assert (await tell(house, odd)).disposition == APPLIED, "its hold is known by now"


async def test_another_account_s_object_is_of_nobody(scripted: ScriptedHouse) -> None:
    payment = await captured(scripted)
    before = await _counts(scripted.house)
    named = {"attempt_id": await attempt_id_in(scripted.house), "processor_id": "another"}
    for number, kind in enumerate(("CAPTURED", "CANCELED", "REFUND_SUCCEEDED", "DISPUTE_LOST")):
        told = await tell(scripted.house, telling(kind, number, amount=usd(5_000), **named))
        assert (told.disposition, told.payment_id) == (UNMATCHED, "")
    assert await _counts(scripted.house) == before
    assert await scripted.house.get(payment.id) == payment


async def test_a_dispute_is_known_by_its_own_id_alone(scripted: ScriptedHouse) -> None:
    payment = await captured(scripted)
    house = scripted.house
    opened = telling("DISPUTE_OPENED", 1, amount=usd(5_000), object_id="dp_1")
    assert (await tell(house, opened)).disposition == APPLIED
    alone = {"object_id": "dp_1", "processor_reference": ""}
    lost = telling("DISPUTE_LOST", 2, amount=usd(5_000), **alone)
    told = await tell(house, lost)
    assert (told.disposition, told.payment_id) == (APPLIED, payment.id)
    rows = await house.rows("select state, closed_at from payments.disputes")
    assert [(row["state"], row["closed_at"] is None) for row in rows] == [("lost", False)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"event": {"id": ""}}, "event.id"),
        ({"event": {"processor_id": ""}}, "event.processor_id"),
        ({"event": {"type": 0}}, "event.type"),
        ({"event": {"type": 99}}, "event.type"),
        ({"event": {"error_code": 99}}, "event.error_code"),
        ({"webhook_event_id": "whe_1"}, "id"),
    ],
)
async def test_what_cannot_be_heard_is_refused_and_writes_nothing(
    scripted: ScriptedHouse, change: dict[str, Any], field: str
) -> None:
    await captured(scripted)
    request = telling("CAPTURED", 1, amount=usd(9_000))
    for name, value in change.pop("event", {}).items():
        setattr(request.event, name, value)
    for name, value in change.items():
        setattr(request, name, value)
    before = await _counts(scripted.house)
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await tell(scripted.house, request)
    assert [each.field for each in refused.value.violations] == [field]
    assert await _counts(scripted.house) == before
