"""How much of anything a request may be, beyond what reading its body bounds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.types import Receive

from gateway.reading import Refusal
from gateway.reading.card_data import without_card_data
from gateway.reading.notes import Notes
from gateway.reading.rules import bodies

WEBHOOK_BYTES_MAX: Final = 1024 * 1024
CALL_SECONDS: Final = 60.0
"""How long a request may take in all; what is not decided by then goes on without its caller."""
_ARRIVAL_SECONDS: Final = 30.0
# So much of what is too large is read and thrown away, for a client that is cut off while it sends
# sees a broken connection instead of the answer.
_DISCARDED_BYTES_MAX: Final = 64 * 1024 * 1024


async def read_body(receive: Receive, bytes_max: int) -> bytes:
    """The body as it came; raises Refusal for one that is too large or does not arrive."""
    chunks: list[bytes] = []
    received = 0
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            async for chunk in _chunks(receive):
                received += len(chunk)
                if received <= bytes_max:
                    chunks.append(chunk)
                elif received > _DISCARDED_BYTES_MAX:
                    break
    except TimeoutError:
        raise _cut_short() from None
    if received > bytes_max:
        raise Refusal.of(bodies.TOO_LARGE, message=f"It has {received} or more.")
    return b"".join(chunks)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise _cut_short()
        yield event.get("body", b"")
        more = event.get("more_body", False)


def refuse_card_data(values: Mapping[str, str]) -> None:
    """Raises Refusal if there is card data in what a path or a query says."""
    notes = Notes()
    without_card_data(values, notes)
    notes.settle()


def _cut_short() -> Refusal:
    return Refusal.of(bodies.MALFORMED, message="It did not arrive whole.")
