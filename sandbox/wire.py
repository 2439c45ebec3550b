"""HTTP/1.1 as the sandbox needs it: requests in, answers out, and connections that break on demand.

A web framework hides the socket, and the faults a payment platform must survive happen right
there: a reset, a reply that never leaves, bytes that are no HTTP. So the sandbox speaks HTTP over
asyncio itself, with httptools for the parsing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import unquote

import httptools

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_WAITING_REQUESTS: Final = 32
GRACE_SECONDS: Final = 1.0

# With this set a closed socket sends RST instead of FIN.
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came off the wire; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An ordinary HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Broken:
    """Instead of an answer: these raw bytes, if any, and then the connection ends."""

    raw: bytes = b""
    reset: bool = False


Reply = Answer | Broken
Handler = Callable[[Request], Awaitable[Reply]]


class Connection(asyncio.Protocol):
    """One client connection: parses requests and answers them one after the other."""

    def __init__(self, handler: Handler, open_connections: set[Connection]) -> None:
        self._handler = handler
        self._open_connections = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        self._open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        # A request that is being served goes on: its client gave up, its effects are not undone.
        self._transport = None
        self._open_connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, UnicodeDecodeError, ValueError):
            self._refuse(HTTPStatus.BAD_REQUEST)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _refuse(self, status: HTTPStatus) -> None:
        if self._transport is not None:
            self._transport.write(_encode(Answer(status, b""), keep_alive=False))
            self._transport.close()

    # What follows is called by the parser.

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._body_bytes > MAX_BODY_BYTES:
            return
        url = httptools.parse_url(self._url)
        request = Request(
            method=self._parser.get_method().decode("ascii"),
            path=unquote((url.path or b"/").decode("latin-1")),
            query=(url.query or b"").decode("latin-1"),
            headers=self._headers,
            body=b"".join(self._body),
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._begin()
        if len(self._waiting) > MAX_WAITING_REQUESTS and self._transport is not None:
            self._transport.pause_reading()
        if self._serving is None:
            self._serving = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        while self._waiting:
            request, keep_alive = self._waiting.popleft()
            if self._transport is not None and not self._waiting:
                self._transport.resume_reading()
            self._send(await self._answer(request), keep_alive=keep_alive)
        self._serving = None

    async def _answer(self, request: Request) -> Reply:
        try:
            return await self._handler(request)
        except Exception:  # noqa: BLE001 (the process boundary: one bad request must not end the connection)
            _log.exception("%s %s failed", request.method, request.path)
            return Answer(500, b'{"error":{"type":"api_error","message":"The sandbox failed."}}')

    def _send(self, reply: Reply, *, keep_alive: bool) -> None:
        if self._transport is None:
            return
        if isinstance(reply, Broken):
            self._break(self._transport, reply)
            return
        self._transport.write(_encode(reply, keep_alive=keep_alive))
        if not keep_alive:
            self._transport.close()

    @staticmethod
    def _break(transport: asyncio.Transport, broken: Broken) -> None:
        if broken.raw:
            transport.write(broken.raw)
        if not broken.reset:
            transport.close()
            return
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
        )
        transport.abort()

    @property
    def serving(self) -> asyncio.Task[None] | None:
        """What it is busy with, if anything."""
        return self._serving

    def close(self) -> None:
        """End this connection; what it was serving is not answered."""
        if self._serving is not None:
            self._serving.cancel()
        if self._transport is not None:
            self._transport.abort()


def _encode(answer: Answer, *, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append(f"Content-Length: {len(answer.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body


class HttpServer:
    """A listening socket and the connections it has accepted."""

    def __init__(self, server: asyncio.Server, connections: set[Connection]) -> None:
        self._server = server
        self._connections = connections

    @classmethod
    async def listen(cls, handler: Handler, host: str, port: int) -> HttpServer:
        """Listen; port 0 takes any free port. Raises OSError when the port is taken."""
        connections: set[Connection] = set()
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(handler, connections), host, port, backlog=1024
        )
        return cls(server, connections)

    @property
    def port(self) -> int:
        """The port that was taken."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop accepting, let what is being served finish, end every connection."""
        self._server.close()
        if serving := [task for each in self._connections if (task := each.serving) is not None]:
            await asyncio.wait(serving, timeout=GRACE_SECONDS)
        for connection in tuple(self._connections):
            connection.close()
        await self._server.wait_closed()
