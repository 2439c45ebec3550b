"""The topics on a cluster: looked up, made when missing, and asked how large a message may be."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # two are not marked as exported
    AdminClient,
    ConfigResource,
    NewTopic,
)

from services.runtime.messaging.bus import BusTrouble, Trouble
from services.runtime.messaging.kafka.settings import KafkaSettings
from services.runtime.messaging.kafka.troubles import trouble_from

_log = structlog.get_logger(__name__)

# What a cluster that does not tell its limit is taken to allow: Kafka's own default, and less.
_USUAL_LIMIT_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Topics:
    """What a cluster says of its topics."""

    partition_counts: Mapping[str, int]
    message_bytes_max: int


def find_topics(settings: KafkaSettings, names: Sequence[str]) -> Topics:
    """Look the topics up, and make those that are missing if that is allowed. Blocks."""
    errors: list[KafkaError] = []
    admin = AdminClient(settings.client(errors.append))
    timeout_seconds = settings.patience.total_seconds()
    try:
        counts = _partition_counts(admin, names, timeout_seconds)
        if len(counts) < len(names):
            _create(admin, settings, [name for name in names if name not in counts])
            counts = _await_all(admin, names, timeout_seconds)
        limit = _limit_bytes(admin, names, timeout_seconds)
    except KafkaException as error:
        admin.poll(0)
        context = f"cannot ask {settings.bootstrap_servers} for its topics"
        raise trouble_from([*errors, error.args[0]], context) from error
    return Topics(counts, limit)


def _partition_counts(
    admin: AdminClient, names: Sequence[str], timeout_seconds: float
) -> dict[str, int]:
    present = admin.list_topics(timeout=timeout_seconds).topics
    return {name: len(present[name].partitions) for name in names if name in present}


def _await_all(admin: AdminClient, names: Sequence[str], timeout_seconds: float) -> dict[str, int]:
    """A topic that is made, perhaps by another, takes a moment until it is seen everywhere."""
    give_up_at = time.monotonic() + timeout_seconds
    while len(counts := _partition_counts(admin, names, timeout_seconds)) < len(names):
        if time.monotonic() > give_up_at:
            missing = ", ".join(name for name in names if name not in counts)
            raise BusTrouble(Trouble.TOPIC_MISSING, f"{missing} was made and is not there yet")
        time.sleep(0.05)
    return counts


def _create(admin: AdminClient, settings: KafkaSettings, names: Sequence[str]) -> None:
    if not settings.create_topics:
        raise BusTrouble(Trouble.TOPIC_MISSING, f"there is no topic {', '.join(names)}")
    retention_ms = str(int(settings.retention.total_seconds() * 1000))
    created = admin.create_topics(
        [
            NewTopic(
                name,
                num_partitions=settings.partitions,
                replication_factor=settings.replication_factor,
                config={"retention.ms": retention_ms},
            )
            for name in names
        ],
        operation_timeout=settings.patience.total_seconds(),
    )
    for name, outcome in created.items():
        try:
            outcome.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            _log.info("made a topic", topic=name, partitions=settings.partitions)


def _limit_bytes(admin: AdminClient, names: Sequence[str], timeout_seconds: float) -> int:
    topics = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    try:
        described = admin.describe_configs(topics, request_timeout=timeout_seconds)
        return min(int(answer.result()["max.message.bytes"].value) for answer in described.values())
    except KafkaException as error:
        _log.debug("the cluster does not tell its limits", problem=error.args[0].str())
        return _USUAL_LIMIT_BYTES
