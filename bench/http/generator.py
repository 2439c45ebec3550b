"""A generator of HTTP requests that costs little, since it shares two cores with what it measures.

Requests are made of bytes and written to connections that stay open; of an answer only the status
and the length of its body are read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import urlsplit

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _END_OF_HEAD + body


class _Connection(asyncio.Protocol):
    """One connection, with one request under way at most."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(_END_OF_HEAD)
        if found and len(body) >= _body_length(head):
            answer, self._answer, self._received = self._answer, None, b""
            if answer is not None and not answer.done():
                answer.set_result(head + _END_OF_HEAD + body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("hung up on"))
        self._ended.set()

    def ask(self, asked: bytes) -> "asyncio.Future[bytes]":
        assert self._transport is not None, "it is connected"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(asked)
        return self._answer

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await self._ended.wait()


class Connections:
    """Connections of which each caller takes one for one request."""

    def __init__(self, connections: list[_Connection]) -> None:
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        for each in connections:
            self._free.put_nowait(each)
        self.answers = 0
        """How many there were."""

    async def answered(self, asked: bytes, status: int) -> bytes:
        """The answer, head and body, which must have a status."""
        connection = await self._free.get()
        answer = await connection.ask(asked)
        self._free.put_nowait(connection)
        self.answers += 1
        if not answer.startswith(b"HTTP/1.1 %d" % status):
            raise SystemExit(f"{status} was expected: {answer.decode(errors='replace')}")
        return answer


@asynccontextmanager
async def connected(url: str, count: int) -> AsyncIterator[Connections]:
    """So many open connections to one server."""
    address, loop = urlsplit(url), asyncio.get_running_loop()
    host, port = address.hostname or "", address.port or 0
    opened: list[_Connection] = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(_Connection, host, port)
            opened.append(connection)
        yield Connections(opened)
    finally:
        for connection in opened:
            await connection.close()


def _body_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[: len(_LENGTH)].lower() == _LENGTH:
            return int(line[len(_LENGTH) :])
    return 0
