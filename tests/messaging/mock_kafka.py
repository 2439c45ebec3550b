"""librdkafka's own mock cluster, in this process: a broker to connect to, stop and start again.

The Python client exposes no handle to it, so the library that the client has loaded is called.
"""

import ctypes
import ctypes.util
from pathlib import Path
from typing import Final

import confluent_kafka

_PRODUCER: Final = 0
_BROKER: Final = 1


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class MockKafka:
    """A cluster of one mock broker."""

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.create_string_buffer(512)
        configuration = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        client = self._library.rd_kafka_new(_PRODUCER, configuration, error, len(error))
        assert client, error.value
        self._client = ctypes.c_void_p(client)
        cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        assert cluster, "the mock cluster could not be made"
        self._cluster = ctypes.c_void_p(cluster)
        self._library.rd_kafka_mock_set_controller_id(self._cluster, _BROKER)

    @property
    def bootstrap(self) -> str:
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def create_topic(self, name: str, partitions: int) -> None:
        created = self._library.rd_kafka_mock_topic_create(
            self._cluster, name.encode(), partitions, 1
        )
        assert created == 0

    def delete_topic(self, name: str) -> None:
        assert self._library.rd_kafka_mock_topic_delete(self._cluster, name.encode()) == 0

    def stop_broker(self) -> None:
        """Close its connections and take no new ones; what it holds stays."""
        assert self._library.rd_kafka_mock_broker_set_down(self._cluster, _BROKER) == 0

    def start_broker(self) -> None:
        assert self._library.rd_kafka_mock_broker_set_up(self._cluster, _BROKER) == 0

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
