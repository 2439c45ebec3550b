"""What a broker can do to us: it is told once and counted, nothing is lost, all else goes on."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not all is marked as exported
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.runtime.database import Database
from services.runtime.messaging.bus import Trouble
from services.runtime.messaging.consumer import Consumer
from services.runtime.messaging.kafka import KafkaBroker, KafkaSettings, read_client_file
from services.runtime.messaging.kafka.troubles import trouble_from
from services.runtime.messaging.message import Topic
from services.runtime.messaging.metrics import MessagingMetrics
from services.runtime.messaging.wire import WireMessage
from services.runtime.settings import SettingsError
from tests.messaging.conftest import Running
from tests.messaging.engines import ON_REAL_KAFKA, KafkaEngine
from tests.messaging.system import (
    all_relayed,
    count,
    effects,
    message,
    metric,
    publish,
    recording,
    sequences_by_key,
    until,
    until_effects,
)
from tools.kafka import PASSWORD, USER, Broker

Header = tuple[str, str | bytes | None]
Headers = list[Header]

_CONSUMER = Consumer("trial", (Topic.EVENTS,), recording("trial"))
_IMPATIENT = timedelta(seconds=1)


async def _in_trouble(registry: CollectorRegistry, trouble: Trouble) -> bool:
    return metric(registry, "messaging_bus_troubles_total", trouble=trouble.value) >= 2


async def _relay_has_told(lines: list[Any]) -> bool:
    return bool(_told(lines, "cannot relay messages"))


def _told(lines: list[Any], event: str) -> list[Any]:
    return [line for line in lines if line["event"] == event]


async def test_a_broker_that_is_away_at_the_start_delays_and_loses_nothing(
    broker_engine: KafkaEngine,
    database: Database,
    running: Running,
    metrics: MessagingMetrics,
    registry: CollectorRegistry,
) -> None:
    await asyncio.to_thread(broker_engine.stop_broker)
    bus = broker_engine.bus_with(broker_engine.settings(patience=_IMPATIENT), database, metrics)
    with capture_logs() as lines:
        await running.start_bus(bus, _CONSUMER)
        await publish(database, [message("pay_1", n) for n in (1, 2, 3)])
        await until(lambda: _relay_has_told(lines))
        await until(lambda: _in_trouble(registry, Trouble.UNREACHABLE))
        await asyncio.to_thread(broker_engine.start_broker)
        rows = await until_effects(database, 3, timeout_seconds=60)
        await until(lambda: all_relayed(database))
    assert sequences_by_key(rows) == {"pay_1": [1, 2, 3]}
    (complaint,) = _told(lines, "cannot relay messages")
    assert complaint["trouble"] == "unreachable"
    assert str(broker_engine.bootstrap) in complaint["problem"]
    assert _told(lines, "the bus works again")


async def test_a_broker_that_goes_away_later_is_told_once_and_waited_for(
    broker_engine: KafkaEngine,
    database: Database,
    running: Running,
    metrics: MessagingMetrics,
) -> None:
    bus = broker_engine.bus_with(broker_engine.settings(patience=_IMPATIENT), database, metrics)
    await running.start_bus(bus, _CONSUMER)
    await publish(database, [message("pay_1", 1)])
    await until_effects(database, 1)
    with capture_logs() as lines:
        await asyncio.to_thread(broker_engine.stop_broker)
        for n in range(2, 12):
            await publish(database, [message("pay_1", n)])
        await until(lambda: _relay_has_told(lines))
        await asyncio.to_thread(broker_engine.start_broker)
        rows = await until_effects(database, 11, timeout_seconds=60)
    assert sequences_by_key(rows) == {"pay_1": list(range(1, 12))}
    assert len(_told(lines, "cannot relay messages")) == 1


async def test_a_missing_topic_is_complained_of_until_it_is_there(
    broker_engine: KafkaEngine,
    database: Database,
    running: Running,
    metrics: MessagingMetrics,
    registry: CollectorRegistry,
) -> None:
    await asyncio.to_thread(broker_engine.forget_topics)
    settings = broker_engine.settings(create_topics=False, patience=_IMPATIENT)
    with capture_logs() as lines:
        await running.start_bus(broker_engine.bus_with(settings, database, metrics), _CONSUMER)
        await publish(database, [message("pay_1", 1)])
        await until(lambda: _relay_has_told(lines))
        await until(lambda: _in_trouble(registry, Trouble.TOPIC_MISSING))
        assert await effects(database) == []
        await asyncio.to_thread(broker_engine.make_topics)
        await until_effects(database, 1, timeout_seconds=60)
    complaint = _told(lines, "cannot relay messages")[0]
    assert complaint["trouble"] == "topic_missing"
    assert "there is no topic payment.commands, payment.events, payment.dlq" in complaint["problem"]


async def test_a_message_too_large_blocks_its_own_key_and_is_not_lost(
    broker_engine: KafkaEngine,
    database: Database,
    running: Running,
    registry: CollectorRegistry,
) -> None:
    with capture_logs() as lines:
        await running.start(broker_engine, _CONSUMER)
        await publish(
            database,
            [
                message("pay_1", 1),
                message("pay_1", 2, payload=bytes(2_000_000)),
                message("pay_1", 3),
                *(message(f"other_{n}", 1) for n in range(20)),
            ],
        )
        rows = await until_effects(database, 21)
    assert sequences_by_key(rows)["pay_1"] == [1]
    assert metric(registry, "messaging_refused_total") >= 1
    refusal = _told(lines, "the broker refuses a message; its key waits")[0]
    assert "bytes are more than the" in refusal["problem"]
    waiting = "select count(*) from messaging.outbox where relayed_at is null and key = 'pay_1'"
    assert await count(database, waiting) == 2
    if ON_REAL_KAFKA:
        await asyncio.to_thread(_allow_large_messages, str(broker_engine.bootstrap))
        rows = await until_effects(database, 23, timeout_seconds=60)
        assert sequences_by_key(rows)["pay_1"] == [1, 2, 3]


def _allow_large_messages(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    changes = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            topic.value,
            incremental_configs=[
                ConfigEntry(
                    "max.message.bytes",
                    "5000000",
                    incremental_operation=AlterConfigOpType.SET,
                )
            ],
        )
        for topic in Topic
    ]
    for outcome in admin.incremental_alter_configs(changes).values():
        outcome.result()


async def test_what_others_write_to_a_topic_is_kept_among_the_dead_letters(
    broker_engine: KafkaEngine, database: Database, running: Running
) -> None:
    await running.start(broker_engine, _CONSUMER)
    await publish(database, [message("pay_1", 1)])
    await until_effects(database, 1)
    good: Headers = [("event-id", "evt_1"), ("event-type", "T"), ("event-sequence", "1")]
    when: Header = ("occurred-at", "2026-01-01T00:00:00+00:00")
    strangers: list[tuple[str | bytes | None, Headers]] = [
        (None, []),
        (b"\xff\x00", good),
        ("pay_9", [*good, ("occurred-at", "yesterday")]),
        ("pay_9", [*good[:2], ("event-sequence", "one"), when]),
        ("pay_9", [*good[:2], ("event-sequence", str(2**70)), when]),
        ("pay_9", [*good, when, ("nul", b"a\x00b")]),
        ("", [*good, when]),
    ]
    await asyncio.to_thread(_write, str(broker_engine.bootstrap), strangers)
    await publish(database, [message("pay_1", 2)])

    async def all_dead() -> bool:
        letters = await count(database, "select count(*) from messaging.dead_letters")
        return letters == len(strangers)

    await until(all_dead)
    assert sequences_by_key(await until_effects(database, 2)) == {"pay_1": [1, 2]}
    async with database.connection() as connection:
        letters = await connection.fetch("select * from messaging.dead_letters order by number")
    assert all(letter["payload"] == b"strange" for letter in letters)
    assert all(letter["error"].startswith("not one of ours: ") for letter in letters)
    assert all(letter["event_id"].startswith("payment.events/") for letter in letters)


def _write(bootstrap: str, messages: list[tuple[str | bytes | None, Headers]]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, headers in messages:
        producer.produce("payment.events", key=key, value=b"strange", headers=headers)
    assert producer.flush(30) == 0


@pytest.mark.skipif(not ON_REAL_KAFKA, reason="the mock cluster asks for no password")
async def test_wrong_credentials_are_told_and_right_ones_work(real_broker: Broker) -> None:
    def settings(password: str) -> KafkaSettings:
        security = {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": password,
        }
        return KafkaSettings(real_broker.bootstrap_with_password, security=security)

    headers = {"event-id": "evt_1"}
    sent = [WireMessage("evt_1", Topic.EVENTS, "pay_1", b"payload", headers)]
    wrong = KafkaBroker(settings("guessed"))
    refused = await wrong.send(sent)
    assert refused.trouble is not None
    assert refused.trouble.trouble is Trouble.CREDENTIALS
    assert "guessed" not in str(refused.trouble)
    await wrong.close()
    right = KafkaBroker(settings(PASSWORD))
    assert (await right.send(sent)).delivered == ["evt_1"]
    await right.close()


@pytest.mark.parametrize(
    ("codes", "trouble"),
    [
        ([], Trouble.UNREACHABLE),
        ([KafkaError._TRANSPORT], Trouble.UNREACHABLE),
        ([KafkaError._AUTHENTICATION, KafkaError._TRANSPORT], Trouble.CREDENTIALS),
        ([KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED], Trouble.CREDENTIALS),
        ([KafkaError._ALL_BROKERS_DOWN, KafkaError._UNKNOWN_TOPIC], Trouble.TOPIC_MISSING),
    ],
)
def test_errors_are_told_as_what_an_operator_would_do_about(
    codes: list[int], trouble: Trouble
) -> None:
    found = trouble_from([KafkaError(code) for code in codes], "sending")
    assert found.trouble is trouble
    assert str(found).startswith("sending: ")


def test_client_settings_are_read_from_a_file_of_names_and_values(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("# who we are\nsasl.username = switchyard\n\nsasl.password=a=b\n")
    assert read_client_file(file) == {"sasl.username": "switchyard", "sasl.password": "a=b"}
    file.write_text("hunter2\n")
    with pytest.raises(SettingsError, match="not name=value") as refusal:
        read_client_file(file)
    assert "hunter2" not in str(refusal.value)
    file.write_bytes(b"sasl.password=\xff\n")
    with pytest.raises(SettingsError, match=r"KAFKA_CLIENT_FILE .* cannot be read"):
        read_client_file(file)
