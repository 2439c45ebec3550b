"""Kafka behind the broker port, through confluent-kafka.

librdkafka works in threads of its own and is asked through blocking calls, so each client here has
one thread from which it is called. Reading order: settings, troubles, topics, sender, reader.
"""

from collections.abc import Sequence

from services.runtime.messaging.broker import Delivery
from services.runtime.messaging.kafka.reader import KafkaReader
from services.runtime.messaging.kafka.sender import KafkaSender
from services.runtime.messaging.kafka.settings import KafkaSettings, read_client_file
from services.runtime.messaging.wire import WireMessage

__all__ = ["KafkaBroker", "KafkaSettings", "read_client_file"]


class KafkaBroker:
    """A Kafka cluster, reached when it is first needed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._sender = KafkaSender(settings)

    async def send(self, messages: Sequence[WireMessage]) -> Delivery:
        """Send in order and wait for the delivery reports."""
        return await self._sender.send(messages)

    def reader(self, consumer: str, topics: Sequence[str]) -> KafkaReader:
        """What reads the topics for one consumer."""
        return KafkaReader(self._settings, consumer, topics)

    async def close(self) -> None:
        """Abandon what is being sent and disconnect; readers are closed by who asked for them."""
        await self._sender.close()
