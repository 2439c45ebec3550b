"""Reading: partitions assigned by us and positions kept by us, so no consumer group is waited for.

A group would notice that a killed member is gone after its session timed out, and hand out its
partitions then. The lock on a partition is free at once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as Partition

from services.runtime.messaging.kafka.settings import KafkaSettings
from services.runtime.messaging.kafka.topics import find_topics
from services.runtime.messaging.kafka.troubles import trouble_from
from services.runtime.messaging.message import PARTITIONS
from services.runtime.messaging.wire import Batch, Place, Received

T = TypeVar("T")

_BATCH_SIZE: Final = 500
_WAIT_SECONDS: Final = 0.5


class KafkaReader:
    """Reads some topics for one consumer."""

    def __init__(self, settings: KafkaSettings, consumer: str, topics: Sequence[str]) -> None:
        self._settings = settings
        self._group = f"{settings.group_prefix}.{consumer}"
        self._topics = [str(topic) for topic in topics]
        self._thread = ThreadPoolExecutor(1, "kafka-reader")
        self._client: Consumer | None = None
        self._errors: list[KafkaError] = []

    async def assign(self, lanes: Sequence[int], positions: Mapping[Place, str]) -> None:
        """Read every partition whose number falls on one of the lanes."""
        await self._in_thread(self._assign, frozenset(lanes), positions)

    async def receive(self) -> Batch:
        """What has come in, within half a second."""
        return await self._in_thread(self._receive)

    async def acknowledge(self, next_positions: Mapping[Place, str]) -> None:
        """Commit the positions under the consumer's group; only those who watch depend on it."""
        await self._in_thread(self._commit, next_positions)

    async def close(self) -> None:
        """Disconnect."""
        await self._in_thread(self._disconnect)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, *arguments)

    def _assign(self, lanes: frozenset[int], positions: Mapping[Place, str]) -> None:
        found = find_topics(self._settings, self._topics)
        wanted = [
            Partition(topic, number, _offset(positions.get((topic, number))))
            for topic, count in found.partition_counts.items()
            for number in range(count)
            if number % PARTITIONS in lanes
        ]
        if self._client is None:
            self._client = Consumer(
                {
                    **self._settings.client(self._errors.append),
                    "group.id": self._group,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "queued.max.messages.kbytes": 16_384,
                    "fetch.queue.backoff.ms": 20,
                }
            )
        self._client.assign(wanted)

    def _receive(self) -> Batch:
        assert self._client is not None, "partitions are assigned before anything is received"
        first = self._client.poll(_WAIT_SECONDS)
        if first is None:
            self._complain_of([])
            return Batch()
        # A long wait for a full batch would delay what is here already, so the rest waits for none.
        messages = [first, *self._client.consume(_BATCH_SIZE - 1, timeout=0)]
        good = [message for message in messages if message.error() is None]
        if not good:
            self._complain_of([error for m in messages if (error := m.error()) is not None])
            return Batch()
        # An error among good ones comes again; to raise it now would lose the good ones.
        received = [_received(message) for message in good]
        return Batch(received, {r.place: str(int(r.position) + 1) for r in received})

    def _complain_of(self, errors: Sequence[KafkaError]) -> None:
        present = [*self._errors, *errors]
        self._errors.clear()
        if present:
            raise trouble_from(present, f"cannot read {', '.join(self._topics)}")

    def _commit(self, next_positions: Mapping[Place, str]) -> None:
        assert self._client is not None, "what is acknowledged was received"
        offsets = [Partition(*place, int(position)) for place, position in next_positions.items()]
        self._client.commit(offsets=offsets, asynchronous=True)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _offset(position: str | None) -> int:
    return OFFSET_BEGINNING if position is None else int(position)


def _received(message: Message) -> Received:
    topic, partition = message.topic(), message.partition()
    assert topic is not None, "a received message has a topic"
    assert partition is not None, "a received message has a partition"
    return Received(
        place=(topic, partition),
        position=str(message.offset()),
        key=_bytes(message.key()),
        payload=_bytes(message.value()),
        headers={
            str(name): _bytes(value).decode(errors="replace")
            for name, value in dict(message.headers() or ()).items()
        },
        received_at=datetime.now(UTC),
    )


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
