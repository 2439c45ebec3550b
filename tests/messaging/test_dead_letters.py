"""Dead letters over gRPC: listed, shown, given to their consumers again, once for each request."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.events.v1 import messaging_service_pb2 as pb
from payments.events.v1.dead_letter_pb2 import DeadLetter, DeadLetterState
from payments.events.v1.envelope_pb2 import Envelope
from payments.events.v1.messaging_service_pb2_grpc import (
    MessagingServiceStub,
    add_MessagingServiceServicer_to_server,
)
from payments.events.v1.payment_event_pb2 import PaymentCompleted

from services.kernel.errors import Conflict, InvalidArgument, NotFound, Reason
from services.kernel.ids import DeadLetterId
from services.kernel.paging import encode_page_token
from services.runtime.database import Connection, Database
from services.runtime.messaging.consumer import Consumer, RetryPolicy
from services.runtime.messaging.dead_letters import LetterFilter
from services.runtime.messaging.envelope import open_envelope
from services.runtime.messaging.message import IncomingMessage, Topic
from services.runtime.messaging.rpc import MessagingServicer
from services.runtime.rpc import Middleware, Registry, connect_in_process, typed_errors
from services.runtime.telemetry import Telemetry
from tests.messaging.conftest import Running
from tests.messaging.engines import PostgresEngine
from tests.messaging.system import (
    all_relayed,
    message,
    publish,
    record_effect,
    sequences_by_key,
    until,
    until_count,
    until_effects,
)

_DEAD = "select count(*) from messaging.dead_letters where replayed_at is null"


class Fuse:
    """A consumer that fails until it is mended."""

    def __init__(self) -> None:
        self.blown = True
        self.consumer = Consumer(
            "trial",
            (Topic.EVENTS,),
            self._handle,
            retry=RetryPolicy(tries=2, first_pause=timedelta(milliseconds=5)),
        )

    async def _handle(self, connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, "trial", received)
        if self.blown and received.sequence <= 3:
            raise LookupError("blown")


@pytest.fixture
async def stub(database: Database) -> AsyncIterator[MessagingServiceStub]:
    telemetry = Telemetry.create("trial")
    registry = Registry(Middleware(telemetry, token="t" * 32))
    registry.register(add_MessagingServiceServicer_to_server, MessagingServicer(database))
    async with connect_in_process(registry) as channel:
        yield MessagingServiceStub(channel)
    telemetry.close()


@pytest.fixture
async def fuse(database: Database, running: Running) -> Fuse:
    """A blown fuse, and three messages of one key that died of it; a fourth got through."""
    fuse = Fuse()
    await running.start(PostgresEngine(), fuse.consumer)
    envelope = Envelope(type="PaymentCompleted", payment_completed=PaymentCompleted())
    payload = envelope.SerializeToString()
    await publish(database, [message("pay_1", n, payload=payload) for n in (1, 2, 3, 4)])
    await until_effects(database, 1)
    await until_count(database, _DEAD, 3)
    return fuse


async def _list(stub: MessagingServiceStub, **filters: Any) -> list[DeadLetter]:
    response = await stub.ListDeadLetters(pb.ListDeadLettersRequest(**filters))
    return list(response.dead_letters)


@pytest.mark.usefixtures("fuse")
async def test_letters_are_listed_newest_first_page_by_page(stub: MessagingServiceStub) -> None:
    letters = await _list(stub)
    assert [letter.error for letter in letters] == ["LookupError: blown"] * 3
    assert all(letter.payload == b"" for letter in letters)
    deaths = [letter.died_at.ToDatetime() for letter in letters]
    assert deaths == sorted(deaths, reverse=True)
    first = await stub.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2))
    second = await stub.ListDeadLetters(
        pb.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [*first.dead_letters, *second.dead_letters] == letters
    assert second.next_page_token == ""


@pytest.mark.usefixtures("fuse")
async def test_letters_are_found_by_what_is_asked(stub: MessagingServiceStub) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert len(await _list(stub, consumer="trial", key="pay_1", died_before=tomorrow)) == 3
    assert await _list(stub, consumer="another") == []
    assert await _list(stub, key="pay_2") == []
    assert await _list(stub, died_from=tomorrow) == []
    assert await _list(stub, state=DeadLetterState.DEAD_LETTER_STATE_REPLAYED) == []
    with pytest.raises(InvalidArgument), typed_errors():
        await _list(stub, page_token="made up")  # noqa: S106 -- no secret


@pytest.mark.parametrize("parts", [("yesterday", "dlq_1"), ("2030-01-01T00:00:00", "dlq_\0")])
async def test_a_page_that_begins_nowhere_is_refused(
    stub: MessagingServiceStub, parts: tuple[str, str]
) -> None:
    token = encode_page_token(f"ListDeadLetters {LetterFilter()}", parts)
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await _list(stub, page_token=token)
    assert refusal.value.reason is Reason.PAGE_TOKEN_INVALID


_NO_MOMENT = Timestamp(seconds=2**62)


@pytest.mark.parametrize(
    "filters",
    [
        {"died_from": _NO_MOMENT},
        {"died_before": Timestamp(nanos=-1)},
        {"consumer": "a\0b"},
        {"key": "x" * 256},
    ],
)
async def test_what_no_letter_can_be_found_by_is_refused(
    stub: MessagingServiceStub, filters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument), typed_errors():
        await _list(stub, **filters)


@pytest.mark.parametrize(
    ("key", "filters"),
    [
        ("k", {"died_from": _NO_MOMENT}),
        ("k", {"consumer": "a\0b"}),
        ("a\0b", {}),
        ("", {}),
        ("5555555555554444", {}),
    ],
)
async def test_a_replay_of_what_cannot_be_found_is_refused(
    stub: MessagingServiceStub, key: str, filters: dict[str, Any]
) -> None:
    wanted = pb.DeadLetterFilter(**filters)
    with pytest.raises(InvalidArgument), typed_errors():
        await stub.ReplayDeadLetters(
            pb.ReplayDeadLettersRequest(idempotency_key=key, filter=wanted)
        )


@pytest.mark.usefixtures("fuse")
async def test_a_letter_is_shown_with_its_payload_decoded(stub: MessagingServiceStub) -> None:
    listed = (await _list(stub))[0]
    request = pb.GetDeadLetterRequest(dead_letter_id=listed.id)
    letter = (await stub.GetDeadLetter(request)).dead_letter
    assert open_envelope(letter.payload) == letter.envelope
    assert letter.envelope.HasField("payment_completed")
    assert letter.attempt_count == 2
    assert letter.headers["traceparent"].startswith("00-aaaa")


async def test_a_letter_that_cannot_be_decoded_is_shown_all_the_same(
    database: Database, running: Running, stub: MessagingServiceStub
) -> None:
    async def opens(_connection: Connection, received: IncomingMessage) -> None:
        open_envelope(received.payload)

    await running.start(PostgresEngine(), Consumer("trial", (Topic.EVENTS,), opens))
    unknown = Envelope(type="PaymentTeleported").SerializeToString()
    await publish(
        database, [message("a", 1, payload=b"\xff\xff"), message("b", 1, payload=unknown)]
    )
    await until_count(database, _DEAD, 2)
    letters = {letter.key: letter for letter in await _list(stub)}
    assert "are no envelope" in letters["a"].error
    assert "knows no message PaymentTeleported" in letters["b"].error
    request = pb.GetDeadLetterRequest(dead_letter_id=letters["a"].id)
    shown = (await stub.GetDeadLetter(request)).dead_letter
    assert (shown.payload, shown.HasField("envelope")) == (b"\xff\xff", False)


async def test_a_letter_nobody_wrote_is_not_found(stub: MessagingServiceStub) -> None:
    with pytest.raises(NotFound), typed_errors():
        await stub.GetDeadLetter(pb.GetDeadLetterRequest(dead_letter_id=DeadLetterId.new()))


async def test_replayed_letters_have_their_effect_in_the_order_of_their_key(
    database: Database, fuse: Fuse, stub: MessagingServiceStub
) -> None:
    fuse.blown = False
    request = pb.ReplayDeadLettersRequest(
        idempotency_key="again", filter=pb.DeadLetterFilter(consumer="trial")
    )
    assert (await stub.ReplayDeadLetters(request)).replayed_count == 3
    rows = await until_effects(database, 4)
    assert sequences_by_key(rows) == {"pay_1": [4, 1, 2, 3]}
    assert [row["attempt"] for row in rows] == [1, 1, 1, 1]
    letters = await _list(stub, state=DeadLetterState.DEAD_LETTER_STATE_REPLAYED)
    assert len(letters) == 3
    assert all(letter.HasField("replayed_at") for letter in letters)


async def test_a_replay_is_made_once_however_often_it_is_asked_for(
    database: Database, fuse: Fuse, stub: MessagingServiceStub
) -> None:
    fuse.blown = False
    letter = (await _list(stub))[0]
    selection = pb.DeadLetterIds(dead_letter_ids=[letter.id])
    request = pb.ReplayDeadLettersRequest(idempotency_key="one", ids=selection)
    assert (await stub.ReplayDeadLetters(request)).replayed_count == 1
    await until_effects(database, 2)
    assert (await stub.ReplayDeadLetters(request)).replayed_count == 1
    under_another_key = pb.ReplayDeadLettersRequest(idempotency_key="two", ids=selection)
    assert (await stub.ReplayDeadLetters(under_another_key)).replayed_count == 0
    assert len(await until_effects(database, 2)) == 2
    everything = pb.ReplayDeadLettersRequest(idempotency_key="one", filter=pb.DeadLetterFilter())
    with pytest.raises(Conflict), typed_errors():
        await stub.ReplayDeadLetters(everything)


async def test_a_message_that_dies_again_is_a_new_letter(
    database: Database, fuse: Fuse, stub: MessagingServiceStub
) -> None:
    before = {letter.id for letter in await _list(stub)}
    request = pb.ReplayDeadLettersRequest(idempotency_key="k", filter=pb.DeadLetterFilter())
    assert (await stub.ReplayDeadLetters(request)).replayed_count == 3
    await until_count(database, _DEAD, 3)
    after = await _list(stub, state=DeadLetterState.DEAD_LETTER_STATE_DEAD)
    assert len(after) == 3
    assert before.isdisjoint(letter.id for letter in after)
    assert fuse.blown


@pytest.mark.parametrize(
    "request_",
    [
        pb.ReplayDeadLettersRequest(filter=pb.DeadLetterFilter()),
        pb.ReplayDeadLettersRequest(idempotency_key="k"),
        pb.ReplayDeadLettersRequest(idempotency_key="k", ids=pb.DeadLetterIds()),
        pb.ReplayDeadLettersRequest(
            idempotency_key="k", ids=pb.DeadLetterIds(dead_letter_ids=["nonsense"])
        ),
    ],
)
async def test_a_replay_without_sense_is_refused(
    stub: MessagingServiceStub, request_: pb.ReplayDeadLettersRequest
) -> None:
    with pytest.raises(InvalidArgument), typed_errors():
        await stub.ReplayDeadLetters(request_)


@pytest.mark.usefixtures("fuse")
async def test_the_state_says_how_much_waits_and_how_much_has_died(
    database: Database, stub: MessagingServiceStub, running: Running
) -> None:
    await until(lambda: all_relayed(database))
    await running.close()
    await publish(database, [message("pay_9", 1), message("pay_9", 2)])
    async with database.connection() as connection:
        await connection.execute("update messaging.outbox set refusals = 1 where sequence = 2")
    state = await stub.GetMessagingState(pb.GetMessagingStateRequest(consumer="trial"))
    assert state.outbox.waiting_count == 2
    assert state.outbox.refused_count == 1
    (inbox,) = state.inboxes
    assert (inbox.consumer, inbox.waiting_count, inbox.dead_count) == ("trial", 0, 3)
    assert not inbox.HasField("oldest_age")
    assert state.outbox.HasField("oldest_age")
