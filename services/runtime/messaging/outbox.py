"""The outbox: a message is written in the transaction of the change it tells of, or not at all."""

import json
from collections.abc import Mapping, Sequence

from services.runtime.database import Connection
from services.runtime.messaging.message import OutgoingMessage, partition_of
from services.runtime.queries import load_queries
from services.runtime.telemetry import pointed_at, recorded_traceparent

_QUERIES = load_queries(__package__)


async def append(connection: Connection, messages: Sequence[OutgoingMessage]) -> None:
    """Write messages inside the caller's transaction; the relay takes them once it commits.

    Messages of one key must be written in the order of their sequence by transactions that exclude
    one another, as those of one aggregate do.
    """
    if not messages:
        return
    ordered = sorted(messages, key=lambda message: (message.key, message.sequence))
    await connection.execute(
        _QUERIES["append_messages"],
        [message.id for message in ordered],
        [message.topic for message in ordered],
        [message.key for message in ordered],
        [partition_of(message.key) for message in ordered],
        [message.sequence for message in ordered],
        [message.type for message in ordered],
        [message.payload for message in ordered],
        [json.dumps(dict(message.headers)) for message in ordered],
        [message.occurred_at for message in ordered],
    )


def trace_headers(*, of: str | None = None) -> Mapping[str, str]:
    """The trace that is being recorded here and now, for the headers of what is being written.

    It is taken where the message is made: the task that writes a batch runs in no caller's trace.
    A message may belong to the trace `of` a matter that began elsewhere; then what is recorded here
    points at that.
    """
    traceparent = recorded_traceparent() if of is None else pointed_at(of)
    return {} if traceparent is None else {"traceparent": traceparent}
