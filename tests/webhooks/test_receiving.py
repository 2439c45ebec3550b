"""Receiving: what is genuine is stored once and answered, what is not leaves no row."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from payments.webhooks.v1 import webhook_service_pb2 as pb
from payments.webhooks.v1.webhook_event_pb2 import WebhookEventState as State
from structlog.testing import capture_logs

from services.kernel.errors import InvalidArgument, NotFound, Reason, Unauthenticated
from services.runtime.rpc import typed_errors
from services.webhooks.domain.delivery import BODY_BYTES_MAX
from tests.webhooks.conftest import House, Manner, running_house
from tests.webhooks.letters import OTHER_SECRET, Letter, intent_event, letter, signature
from tests.webhooks.stand_in_orchestrator import StandInOrchestrator


@pytest.fixture
async def house(application_url: str, orchestrator: StandInOrchestrator) -> AsyncIterator[House]:
    """Only receives, so that events stay as they were stored."""
    manner = Manner(applies=False, relays=False, looks_again=False)
    async with running_house(application_url, orchestrator, manner=manner) as house:
        yield house


async def test_a_delivery_is_stored_byte_for_byte_with_the_command_to_apply_it(
    house: House,
) -> None:
    event = intent_event(event_id="evt_whole", intent_id="pi_9")
    sent = letter(json.dumps(event, indent=2).encode())
    answer = await house.receive(sent)
    assert not answer.duplicate
    stored = await house.event(answer.webhook_event_id)
    assert stored.raw_body == sent.body
    assert dict(stored.payload)["id"] == "evt_whole"
    assert (stored.processor_id, stored.processor_event_id) == ("stripe", "evt_whole")
    assert stored.event_type == "payment_intent.succeeded"
    assert stored.signature_verified
    assert stored.state == State.WEBHOOK_EVENT_STATE_PENDING
    assert stored.occurred_at.seconds == event["created"]
    (command,) = await house.rows("select key, topic, type from messaging.outbox")
    assert tuple(command) == ("stripe:pi_9", "payment.commands", "WebhookEventReceived")


async def test_an_event_is_found_by_the_processors_own_id(house: House) -> None:
    await house.receive(letter(intent_event(event_id="evt_by_its_name")))
    assert (await house.event("evt_by_its_name")).processor_event_id == "evt_by_its_name"


async def test_a_repeat_is_answered_the_same_and_stores_nothing(house: House) -> None:
    sent = letter()
    first = await house.receive(sent)
    second = await house.receive(sent)
    assert second.webhook_event_id == first.webhook_event_id
    assert (first.duplicate, second.duplicate) == (False, True)
    assert await house.states() == {"pending": 1}
    assert len(await house.rows("select from messaging.outbox")) == 1


async def test_a_hundred_copies_at_once_are_one_event(house: House) -> None:
    sent = letter()
    answers = await asyncio.gather(*(house.receive(sent) for _ in range(100)))
    assert len({answer.webhook_event_id for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len(await house.rows("select from messaging.outbox")) == 1


def _forged() -> Letter:
    sent = letter()
    return Letter(sent.body + b" ", sent.header)


_NOW = time.time()
_REFUSED = {
    "forged": (_forged, "forged"),
    "of a secret that is none of ours": (lambda: letter(secret=OTHER_SECRET), "forged"),
    "missing": (lambda: Letter(letter().body, ""), "missing"),
    "blank": (lambda: Letter(letter().body, "  "), "missing"),
    "expired": (lambda: letter(at=time.time() - 301), "expired"),
    "from the future": (lambda: letter(at=time.time() + 400), "from_the_future"),
    "not ascii": (lambda: Letter(letter().body, "t=1,v1=ñ"), "not_ascii"),
    "garbage": (lambda: Letter(letter().body, "\x7f=;,,=,v1"), "malformed"),
    "without a time": (lambda: Letter(letter().body, "v1=" + "0" * 64), "malformed"),
    "without a signature": (lambda: Letter(letter().body, "t=1700000000"), "malformed"),
    "of another scheme alone": (
        lambda: Letter(letter().body, f"t=1700000000,v0={'0' * 64}"),
        "malformed",
    ),
    "with two times": (lambda: Letter(letter().body, "t=1,t=2,v1=" + "0" * 64), "malformed"),
    "with a time beyond all": (lambda: Letter(b"{}", f"t={9**99},v1={'0' * 64}"), "malformed"),
    "with a time in other digits": (lambda: Letter(b"{}", f"t=\u0661,v1={'0' * 64}"), "not_ascii"),
    "too long": (lambda: Letter(letter().body, "t=1," + "v1=0," * 9_999), "malformed"),
}


@pytest.mark.parametrize("case", _REFUSED)
async def test_a_signature_that_does_not_hold_is_refused_without_a_row(
    house: House, case: str
) -> None:
    make, problem = _REFUSED[case]
    with capture_logs() as lines, pytest.raises(Unauthenticated) as refused, typed_errors():
        await house.receive(make())
    assert refused.value.reason is Reason.SIGNATURE_INVALID
    assert await house.states() == {}
    assert await house.rows("select from messaging.outbox") == []
    assert [line["problem"] for line in lines if line["event"] == "webhook refused"] == [problem]
    assert house.counted("webhooks_received_total", {"outcome": "refused"}) == 1


async def test_any_of_several_signatures_will_do(house: House) -> None:
    sent = letter()
    time_part, good = sent.header.split(",")
    header = f"{time_part},v0={'1' * 64},v1={'0' * 64},{good}"
    assert (await house.receive(Letter(sent.body, header))).webhook_event_id


async def test_the_window_ends_by_when_the_gateway_had_it(house: House) -> None:
    sent = letter(at=time.time() - 1_000)
    request = pb.ReceiveWebhookRequest(
        adapter="stripe", body=sent.body, signature_header=sent.header
    )
    request.received_at.FromDatetime(datetime.fromtimestamp(time.time() - 900, UTC))
    assert (await house.stub.ReceiveWebhook(request)).webhook_event_id


async def test_an_adapter_that_receives_nothing_is_named(house: House) -> None:
    request = pb.ReceiveWebhookRequest(adapter="paypal", body=b"{}", signature_header="t=1")
    with pytest.raises(NotFound, match="paypal"), typed_errors():
        await house.stub.ReceiveWebhook(request)


_NO_EVENTS: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"{",
    "not utf-8": b'{"id": "\xff"}',
    "half a character": b'{"object": "event", "id": "\\ud800"}',
    "a list": b"[1]",
    "another object": b'{"object": "charge", "id": "ch_1"}',
    "no id": b'{"object": "event"}',
    "an id of another kind": b'{"object": "event", "id": 7}',
    "an id that is none": b'{"object": "event", "id": "evt_\\u0000"}',
    "not a number": b'{"object": "event", "id": "evt_1", "x": NaN}',
    "a deep nest": b"[" * 100_000,
}


@pytest.mark.parametrize("case", _NO_EVENTS)
async def test_a_signed_body_that_is_no_event_is_refused_and_told(house: House, case: str) -> None:
    with capture_logs() as lines, pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.receive(letter(_NO_EVENTS[case]))
    assert refused.value.reason is Reason.BODY_MALFORMED
    assert await house.states() == {}
    (line,) = [line for line in lines if line["event"] == "webhook not understood"]
    assert line["log_level"] == "error"


_STRANGE: dict[str, dict[str, Any]] = {
    "a type nobody knows": {"type": "moon.landed"},
    "a type that is no word": {"type": {"a": 1}},
    "a version nobody knows": {"api_version": "2099-01-01.future"},
    "no time": {"created": None},
    "a time beyond all": {"created": 10**15},
    "no data": {"data": None},
    "data that is a list": {"data": [1, 2]},
    "a nul in it": {"note": "a\x00b"},
    "a number beyond all": {"note": 10**400},
    "an object id that is a page": {"data": {"object": {"id": "x" * 9_999}}},
    "a deep nest": {"note": json.loads("[" * 300 + "]" * 300)},
}


@pytest.mark.parametrize("case", _STRANGE)
async def test_a_strange_event_is_stored_all_the_same(house: House, case: str) -> None:
    sent = letter(json.dumps({**intent_event(), **_STRANGE[case]}).encode())
    answer = await house.receive(sent)
    stored = await house.event(answer.webhook_event_id)
    assert stored.raw_body == sent.body
    assert stored.state == State.WEBHOOK_EVENT_STATE_PENDING


async def test_a_large_event_is_stored(house: House) -> None:
    event = intent_event(note="x" * (BODY_BYTES_MAX - 2_000))
    answer = await house.receive(letter(event))
    assert len((await house.event(answer.webhook_event_id)).raw_body) > BODY_BYTES_MAX - 2_000


async def test_an_event_that_could_not_be_applied_for_its_size_is_refused(house: House) -> None:
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.receive(letter(intent_event(note="x" * BODY_BYTES_MAX)))
    assert refused.value.reason is Reason.MESSAGE_TOO_LARGE
    assert await house.states() == {}


async def test_an_event_is_stored_once_whoever_stores_it(house: House) -> None:
    await house.receive(letter())
    with pytest.raises(asyncpg.UniqueViolationError, match="stripe_event_id"):
        await house.rows(
            """insert into webhooks.webhook_events (id, stripe_event_id, processor_id, event_type,
                      subject, raw_body, signature_verified, created_at)
               select gen_random_uuid(), stripe_event_id, processor_id, event_type, subject,
                      raw_body, true, now()
                 from webhooks.webhook_events"""
        )


async def test_what_was_stored_cannot_be_changed_by_the_application(house: House) -> None:
    await house.receive(letter())
    with pytest.raises(Exception, match="permission denied"):
        await house.rows("update webhooks.webhook_events set raw_body = ''")
    with pytest.raises(Exception, match="permission denied"):
        await house.rows("delete from webhooks.webhook_events")


async def test_a_header_signs_its_own_body_alone() -> None:
    body, other = b'{"a":1}', b'{"a":2}'
    assert signature(body, at=_NOW) != signature(other, at=_NOW)


async def test_a_repeat_does_not_wait_for_whoever_settles_its_event(house: House) -> None:
    sent = letter()
    first = await house.receive(sent)
    async with house.database.connection() as connection, connection.transaction():
        await connection.execute("update webhooks.webhook_events set state = state")
        again = await asyncio.wait_for(house.receive(sent), 5)
    assert (again.webhook_event_id, again.duplicate) == (first.webhook_event_id, True)
