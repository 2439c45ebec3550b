"""A message that always fails is given up, tells its story once, and holds up no other."""

import asyncio

from payments.events.v1.dead_letter_pb2 import DeadLetter, DeadLetterState
from prometheus_client import CollectorRegistry

from services.kernel.ids import DeadLetterId
from services.runtime.database import Connection, Database
from services.runtime.messaging.consumer import Consumer, RetryPolicy, Unreadable
from services.runtime.messaging.message import IncomingMessage, Topic
from tests.messaging.conftest import Running
from tests.messaging.engines import PostgresEngine
from tests.messaging.system import (
    count,
    failing,
    message,
    metric,
    publish,
    record_effect,
    sequences_by_key,
    trial_consumer,
    until,
    until_count,
    until_effects,
)

_DEAD = "select count(*) from messaging.inbox where state = 'dead'"


async def test_after_five_tries_a_message_is_given_up_and_its_key_goes_on(
    database: Database, running: Running, registry: CollectorRegistry
) -> None:
    tried: list[int] = []

    async def handler(connection: Connection, received: IncomingMessage) -> None:
        await record_effect(connection, "trial", received)
        if received.sequence == 1:
            tried.append(received.attempt)
            raise RuntimeError("card 4242 4242 4242 4242 is odd")

    await running.start(PostgresEngine(), trial_consumer(handler))
    sent = message("pay_1", 1, payload=b"\x00bytes")
    await publish(database, [sent, message("pay_1", 2)])
    rows = await until_effects(database, 1, timeout_seconds=40)
    assert sequences_by_key(rows) == {"pay_1": [2]}
    assert tried[0] == 1
    assert sorted(set(tried)) == [1, 2, 3, 4, 5]
    async with database.connection() as connection:
        letter = await connection.fetchrow("select * from messaging.dead_letters")
    assert letter is not None
    assert (letter["event_id"], letter["payload"], letter["attempts"]) == (sent.id, sent.payload, 5)
    assert letter["error"].startswith("RuntimeError: card")
    assert "4242 4242" not in letter["error"]
    assert metric(registry, "messaging_dead_letters_total", consumer="trial") == 1


async def test_a_dead_letter_goes_to_its_topic_with_its_whole_story(
    database: Database, running: Running
) -> None:
    received: list[IncomingMessage] = []

    async def keep(_connection: Connection, letter: IncomingMessage) -> None:
        received.append(letter)

    async def has_arrived() -> bool:
        return bool(received)

    handler = failing(lambda _: True, Unreadable("no such type"))
    watcher = Consumer("watcher", (Topic.DEAD_LETTERS,), keep)
    await running.start(PostgresEngine(), trial_consumer(handler), watcher)
    sent = message("pay_1", 1, payload=b"bad bytes")
    await publish(database, [sent])
    await until(has_arrived)
    (arrived,) = received
    letter = DeadLetter.FromString(arrived.payload)
    assert (arrived.key, arrived.type) == ("pay_1", "DeadLetter")
    assert letter.id == DeadLetterId.parse(letter.id)
    assert letter.consumer == "trial"
    assert (letter.message_id, letter.topic, letter.key) == (sent.id, "payment.events", "pay_1")
    assert (letter.payload, letter.type) == (b"bad bytes", sent.type)
    assert dict(letter.headers) == sent.headers
    assert (letter.error, letter.attempt_count) == ("Unreadable: no such type", 1)
    assert letter.first_tried_at.ToDatetime() <= letter.died_at.ToDatetime()
    assert letter.state == DeadLetterState.DEAD_LETTER_STATE_DEAD


async def test_the_copy_of_a_large_dead_letter_goes_without_its_payload(
    database: Database, running: Running
) -> None:
    handler = failing(lambda _: True, Unreadable("too much"))
    await running.start(PostgresEngine(), trial_consumer(handler))
    await publish(database, [message("pay_1", 1, payload=bytes(600_000))])
    await until_count(database, _DEAD, 1)
    async with database.connection() as connection:
        kept = await connection.fetchval("select payload from messaging.dead_letters")
        copy = await connection.fetchval(
            "select payload from messaging.outbox where topic = 'payment.dlq'"
        )
    assert len(kept) == 600_000
    assert DeadLetter.FromString(copy).payload == b""
    assert DeadLetter.FromString(copy).error == "Unreadable: too much"


async def test_a_consumer_of_dead_letters_that_fails_makes_no_new_ones(
    database: Database, running: Running
) -> None:
    handler = failing(lambda _: True, Unreadable("never"))
    watcher = Consumer("watcher", (Topic.DEAD_LETTERS,), handler)
    await running.start(PostgresEngine(), trial_consumer(handler), watcher)
    await publish(database, [message("pay_1", 1)])
    await until_count(database, _DEAD, 2)
    await asyncio.sleep(0.3)
    copies = "select count(*) from messaging.outbox where topic = 'payment.dlq'"
    assert await count(database, copies) == 1


async def test_one_that_fails_among_many_fails_alone(database: Database, running: Running) -> None:
    handler = failing(lambda m: m.key == "bad", Unreadable("bad bytes"))
    await running.start(PostgresEngine(), trial_consumer(handler))
    batch = [message(f"pay_{n}", 1) for n in range(30)]
    await publish(database, [*batch[:15], message("bad", 1), *batch[15:]])
    rows = await until_effects(database, 30)
    assert {row["key"] for row in rows} == {f"pay_{n}" for n in range(30)}
    assert await count(database, _DEAD) == 1


def test_pauses_double_from_one_second_with_jitter() -> None:
    policy = RetryPolicy()
    for failures, seconds in ((1, 1), (2, 2), (3, 4), (4, 8)):
        pauses = [policy.pause_seconds(failures) for _ in range(200)]
        assert all(0.8 * seconds <= pause <= 1.2 * seconds for pause in pauses)
        assert max(pauses) - min(pauses) > 0.1 * seconds
