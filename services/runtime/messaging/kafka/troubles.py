"""What a Kafka error means to an operator."""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError

from services.runtime.messaging.bus import BusTrouble, Trouble

_CREDENTIALS: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 -- confluent's public name for a local error
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_TOPIC_MISSING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- as above
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 -- as above
    }
)


def is_about_credentials(error: KafkaError) -> bool:
    """Whether the cluster is there and does not want us."""
    return error.code() in _CREDENTIALS


def trouble_from(errors: Sequence[KafkaError], context: str) -> BusTrouble:
    """The trouble that these errors add up to: the most telling of them, else that none came."""
    for kind, codes in (
        (Trouble.CREDENTIALS, _CREDENTIALS),
        (Trouble.TOPIC_MISSING, _TOPIC_MISSING),
    ):
        for error in errors:
            if error.code() in codes:
                return BusTrouble(kind, f"{context}: {error.str()}")
    told = errors[-1].str() if errors else "no answer"
    return BusTrouble(Trouble.UNREACHABLE, f"{context}: {told}")
