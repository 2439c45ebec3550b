"""Sending: an idempotent producer, and nothing is marked before its delivery report is in."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.runtime.messaging.broker import Delivery
from services.runtime.messaging.bus import BusTrouble
from services.runtime.messaging.kafka.settings import KafkaSettings
from services.runtime.messaging.kafka.topics import Topics, find_topics
from services.runtime.messaging.kafka.troubles import is_about_credentials, trouble_from
from services.runtime.messaging.message import Topic
from services.runtime.messaging.wire import WireMessage

# Around key, payload and headers a broker counts its own framing, at most this much.
_FRAMING_BYTES: Final = 512
_BATCH_BYTES_MAX: Final = 1_000_000
_POLL_SECONDS: Final = 0.05
_DOUBLINGS_MAX: Final = 3


class KafkaSender:
    """One producer, replaced after trouble.

    A message never times out by itself inside the producer: one that did while its successor went
    through would turn the order of their key around. Either all goes on, or all is abandoned and
    sent again, in order, by a new producer; what arrives twice that way, the inbox recognises.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "kafka-sender")
        self._producer: Producer | None = None
        self._message_bytes_max = 0
        self._fruitless = 0
        self._errors: list[KafkaError] = []
        self._closing = threading.Event()

    async def send(self, messages: Sequence[WireMessage]) -> Delivery:
        """Send in order and wait for the delivery reports, as long as any come."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._send, messages)

    async def close(self) -> None:
        """Abandon what is being sent; the next relay sends it again."""
        self._closing.set()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._discard)
        self._thread.shutdown()

    def _send(self, messages: Sequence[WireMessage]) -> Delivery:
        self._errors.clear()
        try:
            producer = self._connected(max(map(_size_bytes, messages)))
        except BusTrouble as trouble:
            return Delivery(trouble=trouble)
        delivery = Delivery()
        failures: list[KafkaError] = []
        sent = self._produce(producer, messages, delivery, failures)
        self._await_reports(producer, sent, delivery, failures)
        missing = sent - len(delivery.delivered) - len(delivery.refused)
        self._fruitless = 0 if delivery.delivered or not missing else self._fruitless + 1
        if missing > 0 or failures:
            self._discard()
            context = f"{missing} of {sent} messages were not acknowledged"
            delivery.trouble = trouble_from([*self._errors, *failures], context)
        return delivery

    def _connected(self, largest_bytes: int) -> Producer:
        known = self._message_bytes_max
        # Somebody may have raised the limit since it was read.
        if largest_bytes > known and self._find_topics().message_bytes_max > known:
            self._discard()
        return self._producer or self._connect()

    def _connect(self) -> Producer:
        topics = self._find_topics()
        self._message_bytes_max = topics.message_bytes_max
        self._producer = Producer(
            {
                **self._settings.client(self._errors.append),
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "message.max.bytes": max(1000, topics.message_bytes_max),
                "batch.size": min(_BATCH_BYTES_MAX, topics.message_bytes_max - _FRAMING_BYTES),
                "linger.ms": 1,
                # The partitioner of Kafka's own clients, so that others find a key where we do.
                "partitioner": "murmur2_random",
            }
        )
        return self._producer

    def _find_topics(self) -> Topics:
        return find_topics(self._settings, [topic.value for topic in Topic])

    def _produce(
        self,
        producer: Producer,
        messages: Sequence[WireMessage],
        delivery: Delivery,
        failures: list[KafkaError],
    ) -> int:
        """Queue what may be sent; answers how many reports are to come."""
        held_keys: set[str] = set()
        sent = 0
        for message in messages:
            if message.key in held_keys:
                continue
            if (size := _size_bytes(message)) > self._message_bytes_max:
                held_keys.add(message.key)
                limit = self._message_bytes_max
                delivery.refused[message.id] = f"{size} bytes are more than the {limit} allowed"
                continue
            try:
                producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.payload,
                    headers=list(message.headers.items()),
                    on_delivery=partial(_note_report, message.id, delivery, failures),
                )
            except BufferError:
                break
            except KafkaException as error:
                failures.append(error.args[0])
                break
            sent += 1
        return sent + len(delivery.refused)

    def _await_reports(
        self, producer: Producer, sent: int, delivery: Delivery, failures: Sequence[KafkaError]
    ) -> None:
        # A cluster that is slow to answer a new producer must not be given a new one each time.
        doublings = min(self._fruitless, _DOUBLINGS_MAX)
        patience_seconds = self._settings.patience.total_seconds() * 2**doublings
        give_up_at = time.monotonic() + patience_seconds
        reported = 0
        while reported < sent:
            producer.poll(_POLL_SECONDS)
            before = reported
            reported = len(delivery.delivered) + len(delivery.refused) + len(failures)
            # Counted, since a poll also serves errors, which are no progress.
            if reported > before:
                give_up_at = time.monotonic() + patience_seconds
            hopeless = any(is_about_credentials(error) for error in self._errors)
            if hopeless or self._closing.is_set() or time.monotonic() > give_up_at:
                return

    def _discard(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.poll(0)
            self._producer = None


def _note_report(
    event_id: str,
    delivery: Delivery,
    failures: list[KafkaError],
    error: KafkaError | None,
    _message: Message,
) -> None:
    if error is None:
        delivery.delivered.append(event_id)
    elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        delivery.refused[event_id] = error.str()
    else:
        failures.append(error)


def _size_bytes(message: WireMessage) -> int:
    headers = sum(len(name) + len(value.encode()) for name, value in message.headers.items())
    return len(message.key.encode()) + len(message.payload) + headers + _FRAMING_BYTES
