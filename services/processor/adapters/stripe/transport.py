"""How the SDK's requests reach Stripe, and what the SDK hides: whether a request was ever sent."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final

import anyio
import httpx
import stripe

from services.processor.domain.verdict import Misfit, NoAnswer, NotSent

_CONNECT_TIMEOUT_SECONDS: Final = 10.0
_MAX_CONNECTIONS: Final = 256
# Shorter than a server's own, so that a request seldom meets a connection that is being closed.
_KEEPALIVE_SECONDS: Final = 15.0
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024

# These are raised before the first byte of a request leaves.
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Transport(stripe.HTTPClient):
    """The SDK's way out, over httpx; it bounds connecting, its callers bound the whole."""

    name = "httpx"

    def __init__(self) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(
                None, connect=_CONNECT_TIMEOUT_SECONDS, pool=_CONNECT_TIMEOUT_SECONDS
            ),
            limits=httpx.Limits(
                max_connections=_MAX_CONNECTIONS,
                max_keepalive_connections=_MAX_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            ),
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request; NotSent and NoAnswer pass through the SDK as they are."""
        try:
            async with self._client.stream(
                method, url, headers=headers, content=post_data
            ) as response:
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise Misfit("the answer is too long")
                return bytes(body), response.status_code, response.headers
        except _NOT_SENT as error:
            raise NotSent(f"not reached: {_said(error)}") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"no answer: {_said(error)}") from error

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Wait, as the SDK asks between retries; it is told to make none."""
        return anyio.sleep(secs)

    async def close_async(self) -> None:
        await self._client.aclose()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
