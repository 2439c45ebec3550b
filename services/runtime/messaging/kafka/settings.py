"""How to reach a Kafka cluster and what is expected of its topics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from services.runtime.messaging.message import PARTITIONS
from services.runtime.settings import SettingsError


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """One cluster."""

    bootstrap_servers: str
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    """librdkafka's own words: security.protocol, sasl.mechanism, sasl.username, ssl.ca.location."""
    group_prefix: str = "switchyard"
    """Positions are shown to the broker under `<prefix>.<consumer>`, to those who watch the lag."""
    create_topics: bool = True
    """Whether a missing topic is made, or complained of."""
    partitions: int = PARTITIONS
    replication_factor: int = 1
    retention: timedelta = timedelta(days=7)
    """How long a created topic keeps messages; less than the inbox remembers them."""
    patience: timedelta = timedelta(seconds=5)
    """How long nothing may come back before the cluster counts as unreachable; then twice that."""

    def client(self, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
        """What every client of the cluster is configured with."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.group_prefix,
            "error_cb": on_error,
            # What goes wrong comes through on_error and is logged once, as trouble.
            "log_level": 0,
            "reconnect.backoff.max.ms": 1000,
            "socket.connection.setup.timeout.ms": 5000,
            "allow.auto.create.topics": False,
            **self.security,
        }


def read_client_file(path: Path) -> dict[str, str]:
    """The librdkafka settings in a file, one `name=value` a line, as Kafka's own tools do."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"KAFKA_CLIENT_FILE {path} cannot be read: {error}") from error
    found: dict[str, str] = {}
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            name, equals, value = text.partition("=")
            if not equals:
                # The line itself is not shown: it may be a misplaced password.
                raise SettingsError(f"KAFKA_CLIENT_FILE {path} has a line that is not name=value")
            found[name.strip()] = value.strip()
    return found
