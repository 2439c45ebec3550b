"""How much of anything a request may be, beyond what reading its body bounds."""

import asyncio
from typing import Final

from starlette.types import Receive

from gateway.reading import Refusal
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
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            return await _read(receive, bytes_max)
    except TimeoutError:
        raise Refusal.of(bodies.MALFORMED, message="It did not arrive whole.") from None


async def _read(receive: Receive, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    received = 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise Refusal.of(bodies.MALFORMED, message="It did not arrive whole.")
        chunk = event.get("body", b"")
        received += len(chunk)
        if received <= bytes_max:
            chunks.append(chunk)
        elif received > _DISCARDED_BYTES_MAX:
            break
        if not event.get("more_body", False):
            break
    if received > bytes_max:
        raise Refusal.of(bodies.TOO_LARGE, message=f"It has {received} or more.")
    return b"".join(chunks) if len(chunks) != 1 else chunks[0]
