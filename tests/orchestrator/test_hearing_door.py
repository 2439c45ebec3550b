"""The door for processor events, through the contract and a real database."""

import asyncio
import random
from collections import Counter
from typing import Any

import asyncpg
import pytest
from payments.core.v1.money_pb2 import Money
from payments.core.v1.operation_pb2 import Operation
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1 import payment_story_pb2 as story_pb
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.processor.v1 import processor_event_pb2
from payments.processor.v1.processor_event_pb2 import ProcessorEvent
from payments.result.v1.result_pb2 import Result

from services.kernel.errors import InvalidArgument
from services.kernel.ids import AttemptId, WebhookEventId
from services.kernel.outcome import ErrorCode as Code
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House, ScriptedHouse, running_house
from tests.orchestrator.orders import about, execution, succeeded
from tests.orchestrator.test_life_cycle import MANUAL, challenge
from tests.router.attempts import failed
from tests.stand_in_processors import StandInProcessors

AUTHORIZE = Operation.OPERATION_AUTHORIZE
CAPTURE = Operation.OPERATION_CAPTURE
VOID = Operation.OPERATION_VOID
REFUND = Operation.OPERATION_REFUND

APPLIED = story_pb.EVENT_DISPOSITION_APPLIED
KNOWN = story_pb.EVENT_DISPOSITION_KNOWN
UNMATCHED = story_pb.EVENT_DISPOSITION_UNMATCHED
IGNORED = story_pb.EVENT_DISPOSITION_IGNORED

_TABLES = ("applied_events", "refunds", "refund_parts", "disputes", "postings", "transitions")


def usd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="USD")


def telling(kind: str, number: int, **said: Any) -> pb.ApplyProcessorEventRequest:
    """What the webhook service sends of event `evt_<number>`, about the hold `pi_1`."""
    event = ProcessorEvent(
        **{
            "id": f"evt_{number}",
            "processor_id": "simulated",
            "type": processor_event_pb2.ProcessorEventType.Value(f"PROCESSOR_EVENT_TYPE_{kind}"),
            "native_type": kind.lower(),
            "processor_reference": "pi_1",
            "object_id": "pi_1",
            **said,
        }
    )
    event.occurred_at.FromJsonString("2026-01-02T03:04:05Z")
    return pb.ApplyProcessorEventRequest(
        idempotency_key=f"evt_{number}", event=event, webhook_event_id=WebhookEventId.new()
    )


async def _tell(house: House, request: pb.ApplyProcessorEventRequest) -> Any:
    return await house.stub.ApplyProcessorEvent(request)


async def _until_matched(house: House, request: pb.ApplyProcessorEventRequest) -> Any:
    """Ask again while no payment belongs to it yet, as the webhook service does."""
    async with asyncio.timeout(60):
        while True:
            told = await _tell(house, request)
            if told.disposition != UNMATCHED:
                return told
            await asyncio.sleep(0.05)


async def _counts(house: House) -> dict[str, int]:
    return {table: await house.count(table) for table in _TABLES}


async def _until_state(house: House, payment_id: str, state: PaymentState.ValueType) -> Payment:
    async with asyncio.timeout(40):
        while True:
            payment = await house.get(payment_id)
            if payment.state == state:
                return payment
            await asyncio.sleep(0.02)


async def _attempt_id(house: House) -> str:
    """The only attempt's id, once it is committed."""
    async with asyncio.timeout(20):
        while True:
            rows = await house.rows("select id from payments.attempts")
            if rows:
                return AttemptId.of_hex(rows[0]["id"].hex)
            await asyncio.sleep(0.01)


async def _captured(scripted: ScriptedHouse) -> Payment:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"))
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_CAPTURED
    return payment


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
        attempt_id = await _attempt_id(house)
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
            *(_tell(house, request) for request in news for house in (one, other))
        )
        assert all(each.disposition == APPLIED for each in told)
        assert sum(each.replayed for each in told) == len(news)
        assert (await one.get(payment.id)).amount_refunded == usd(1_000)
        assert await one.count("applied_events") == len(news)


async def test_an_event_told_again_is_told_as_it_was_then(scripted: ScriptedHouse) -> None:
    payment = await _captured(scripted)
    request = telling("REFUND_SUCCEEDED", 1, amount=usd(3_000), object_id="re_1")
    first = await _tell(scripted.house, request)
    assert (first.disposition, first.replayed) == (APPLIED, False)
    assert (first.payment_id, first.merchant_id) == (payment.id, payment.merchant_id)
    again = await _tell(scripted.house, request)
    assert again.replayed
    again.replayed = False
    assert again == first
    by_another = telling("REFUND_SUCCEEDED", 2, amount=usd(3_000), object_id="re_1")
    assert (await _tell(scripted.house, by_another)).disposition == KNOWN
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
        told = await _tell(house, request)
        assert (told.disposition, told.payment_id, told.replayed) == (UNMATCHED, "", False)
    assert (await _tell(house, telling("IGNORED", 3))).disposition == IGNORED
    assert await _counts(house) == before
    await _captured(scripted)
    assert (await _tell(house, odd)).disposition == APPLIED, "its hold is known by now"


async def test_another_account_s_object_is_of_nobody(scripted: ScriptedHouse) -> None:
    payment = await _captured(scripted)
    before = await _counts(scripted.house)
    named = {"attempt_id": await _attempt_id(scripted.house), "processor_id": "another"}
    for number, kind in enumerate(("CAPTURED", "CANCELED", "REFUND_SUCCEEDED", "DISPUTE_LOST")):
        told = await _tell(scripted.house, telling(kind, number, amount=usd(5_000), **named))
        assert (told.disposition, told.payment_id) == (UNMATCHED, "")
    assert await _counts(scripted.house) == before
    assert await scripted.house.get(payment.id) == payment


async def test_a_dispute_is_known_by_its_own_id_alone(scripted: ScriptedHouse) -> None:
    payment = await _captured(scripted)
    house = scripted.house
    opened = telling("DISPUTE_OPENED", 1, amount=usd(5_000), object_id="dp_1")
    assert (await _tell(house, opened)).disposition == APPLIED
    alone = {"object_id": "dp_1", "processor_reference": ""}
    lost = telling("DISPUTE_LOST", 2, amount=usd(5_000), **alone)
    told = await _tell(house, lost)
    assert (told.disposition, told.payment_id) == (APPLIED, payment.id)
    rows = await house.rows("select state, closed_at from payments.disputes")
    assert [(row["state"], row["closed_at"] is None) for row in rows] == [("lost", False)]


async def test_authentication_is_completed_by_an_event_and_the_rest_is_carried_out(
    scripted: ScriptedHouse,
) -> None:
    scripted.processors.script(AUTHORIZE, challenge())
    payment = await scripted.house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_CONFIRMING
    hold = {"processor_reference": "pi_3", "object_id": "pi_3"}
    told = await _tell(scripted.house, telling("AUTHORIZED", 1, amount=usd(10_000), **hold))
    assert told.disposition == APPLIED
    paid = await _until_state(scripted.house, payment.id, PaymentState.PAYMENT_STATE_CAPTURED)
    assert not paid.HasField("next_action")
    assert scripted.processors.count(CAPTURE) == 1
    causes = await scripted.house.rows(
        "select cause from payments.transitions where to_state = 'authorized'"
    )
    assert [row["cause"] for row in causes] == ["event:evt_1"]


async def test_what_is_taken_before_the_answer_is_answered_and_not_taken_again(
    scripted: ScriptedHouse,
) -> None:
    gate = asyncio.Event()

    async def slowly() -> Result:
        await gate.wait()
        return succeeded("pi_1")

    scripted.processors.script(AUTHORIZE, slowly)
    paying = asyncio.create_task(scripted.house.execute(execution()))
    named = {"attempt_id": await _attempt_id(scripted.house)}
    told = await _tell(scripted.house, telling("CAPTURED", 1, amount=usd(10_000), **named))
    assert told.disposition == APPLIED
    async with asyncio.timeout(30):
        assert (await paying).state == PaymentState.PAYMENT_STATE_CAPTURED
    gate.set()
    await asyncio.sleep(0.2)
    assert scripted.processors.count(CAPTURE) == 0
    assert await scripted.house.count("postings") == 1


async def test_money_that_comes_late_is_sent_back_and_booked_both_ways(
    scripted: ScriptedHouse,
) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, failed(Code.DECLINED))
    payment = await house.execute(execution())
    assert payment.state == PaymentState.PAYMENT_STATE_FAILED
    named = {"attempt_id": await _attempt_id(house)}
    for number in (1, 2):
        late = telling("CAPTURED", number, amount=usd(10_000), **named)
        assert (await _tell(house, late)).payment_id == payment.id
    async with asyncio.timeout(30):
        while await house.count("postings") < 2:  # noqa: ASYNC110 -- another task commits it
            await asyncio.sleep(0.02)
    assert scripted.processors.count(REFUND) == 1
    kinds = await house.rows("select kind from payments.postings order by id")
    assert [row["kind"] for row in kinds] == ["late_success", "late_success_reversal"]
    after = await house.get(payment.id)
    assert after.state == PaymentState.PAYMENT_STATE_FAILED
    assert after.needs_reconciliation


async def test_a_hold_that_comes_late_is_released(scripted: ScriptedHouse) -> None:
    house = scripted.house
    scripted.processors.script(AUTHORIZE, failed(Code.DECLINED))
    payment = await house.execute(execution())
    named = {"attempt_id": await _attempt_id(house)}
    await _tell(house, telling("AUTHORIZED", 1, amount=usd(10_000), **named))
    async with asyncio.timeout(30):
        while not scripted.processors.count(VOID):  # noqa: ASYNC110 -- another task asks
            await asyncio.sleep(0.02)
    assert (await house.get(payment.id)).needs_reconciliation
    assert await house.count("postings") == 0


async def test_a_hold_that_ran_out_voids_the_payment(scripted: ScriptedHouse) -> None:
    scripted.processors.script(AUTHORIZE, succeeded("pi_1"))
    payment = await scripted.house.execute(execution(capture_method=MANUAL))
    told = await _tell(scripted.house, telling("CANCELED", 1, native_reason="expired"))
    assert told.disposition == APPLIED
    after = await scripted.house.get(payment.id)
    assert after.state == PaymentState.PAYMENT_STATE_VOIDED
    assert after.amount_authorized == usd(0)
    voided = [each.payment_voided for each in await scripted.house.told()][-1]
    assert voided.cause == "expired"
    assert scripted.processors.count(VOID) == 0


async def test_what_exceeds_the_headroom_is_recorded_beside_our_own_reserve(
    scripted: ScriptedHouse,
) -> None:
    payment = await _captured(scripted)
    house = scripted.house
    ours = pb.RefundPaymentRequest(**about(payment, "ref-1"), amount=usd(8_000))
    await house.stub.RefundPayment(ours)
    outside = telling("REFUND_SUCCEEDED", 1, amount=usd(5_000), object_id="re_outside")
    assert (await _tell(house, outside)).disposition == APPLIED
    disputed = telling("DISPUTE_FUNDS_WITHDRAWN", 2, amount=usd(10_000), object_id="dp_1")
    assert (await _tell(house, disputed)).disposition == APPLIED
    after = await house.get(payment.id)
    assert after.amount_excess == usd(13_000)
    assert after.needs_reconciliation
    (row,) = await house.rows("select excess from payments.disputes")
    assert row["excess"] == 10_000


async def test_a_refund_that_comes_back_is_booked_back(scripted: ScriptedHouse) -> None:
    payment = await _captured(scripted)
    house = scripted.house
    paid = telling("REFUND_SUCCEEDED", 1, amount=usd(10_000), object_id="re_1")
    await _tell(house, paid)
    assert (await house.get(payment.id)).state == PaymentState.PAYMENT_STATE_REFUNDED
    for number in (2, 3):
        await _tell(house, telling("REFUND_FAILED", number, amount=usd(10_000), object_id="re_1"))
    after = await house.get(payment.id)
    assert (after.state, after.amount_refunded) == (
        PaymentState.PAYMENT_STATE_REFUNDED,
        usd(0),
    )
    kinds = await house.rows("select kind from payments.postings")
    assert Counter(row["kind"] for row in kinds) == {
        "capture": 1,
        "refund": 1,
        "refund_reversal": 1,
    }


_TWO_MOVES = """
with moved as (update payments.payments set state = $1 returning id)
insert into payments.transitions (payment_id, from_state, to_state, cause, occurred_at)
select id, from_state, to_state, 'test', now()
  from moved, unnest($2::text[], $3::text[]) as told (from_state, to_state)
"""


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("authorized", [("confirming", "authorized")]),
        ("authorized", [("created", "confirming")]),
        ("captured", [("created", "confirming"), ("confirming", "authorized")]),
        (
            "captured",
            [("created", "confirming"), ("confirming", "authorized"), ("authorized", "captured")],
        ),
    ],
)
async def test_the_database_takes_two_moves_at_once_when_both_are_told_and_no_more(
    house: House, state: str, told: list[tuple[str, str]]
) -> None:
    context = execution().context
    await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key=context.idempotency_key, context=context)
    )
    async with house.database.connection() as connection:
        befores, afters = zip(*told, strict=True)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(_TWO_MOVES, state, list(befores), list(afters))
        both = ["created", "confirming"], ["confirming", "authorized"]
        await connection.execute(_TWO_MOVES, "authorized", *both)


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
    await _captured(scripted)
    request = telling("CAPTURED", 1, amount=usd(9_000))
    for name, value in change.pop("event", {}).items():
        setattr(request.event, name, value)
    for name, value in change.items():
        setattr(request, name, value)
    before = await _counts(scripted.house)
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await _tell(scripted.house, request)
    assert [each.field for each in refused.value.violations] == [field]
    assert await _counts(scripted.house) == before
