"""How the SDK's requests reach Stripe, and what the SDK hides: whether a request was ever sent.

Over aiohttp, which carries twice what the SDK's own way out does: that one looks through all its
connections for each of them whenever a request begins.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import aiohttp
import stripe

from services.processor.domain.verdict import Misfit, NoAnswer, NotSent

# Waiting for a free connection counts as connecting.
_CONNECT_TIMEOUT_SECONDS: Final = 10.0
_MAX_CONNECTIONS: Final = 256
# Shorter than a server's own, so that a request seldom meets a connection that is being closed.
_KEEPALIVE_SECONDS: Final = 15.0
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024

# These are raised before the first byte of a request leaves.
_NOT_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class Transport(stripe.HTTPClient):
    """The SDK's way out; it bounds connecting, its callers bound the whole."""

    name = "aiohttp"

    def __init__(self) -> None:
        super().__init__()
        self._session: aiohttp.ClientSession | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request; NotSent and NoAnswer pass through the SDK as they are."""
        try:
            async with self._connections().request(
                method, url, headers=headers, data=post_data, allow_redirects=False
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise Misfit("the answer is too long")
                return bytes(body), response.status, response.headers
        except _NOT_SENT as error:
            raise NotSent(f"not reached: {_said(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"no answer: {_said(error)}") from error

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Wait, as the SDK asks between retries; it is told to make none."""
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def _connections(self) -> aiohttp.ClientSession:
        # Made with the first request, since it belongs to the loop that it is made in.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_TIMEOUT_SECONDS),
                trust_env=True,
            )
        return self._session


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
