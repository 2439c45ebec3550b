"""HTTP on the wire: pipelining, chunks, limits, and nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandbox.wire import MAX_BODY_BYTES, Answer, Broken, HttpServer, Reply, Request


async def echo(request: Request) -> Reply:
    if request.path == "/boom":
        raise ZeroDivisionError
    if request.path == "/gone":
        return Broken()
    if request.path == "/slow":
        await asyncio.sleep(0.1)
    text = f"{request.method} {request.path}?{request.query} {request.body.decode()}"
    return Answer(200, text.encode(), {"X-Seen": request.headers.get("x-say", "")})


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    listening = await HttpServer.listen(echo, "127.0.0.1", 0)
    yield listening
    await listening.close()


async def talk(server: HttpServer, *parts: bytes) -> bytes:
    """Send, then read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


CLOSE = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"


async def test_pipelined_requests_are_answered_in_order(server: HttpServer) -> None:
    requests = b"".join(b"GET /%s HTTP/1.1\r\n\r\n" % path for path in (b"slow", b"b", b"c"))
    answer = await talk(server, requests + CLOSE)
    places = [answer.index(b"GET /%s?" % path) for path in (b"slow", b"b", b"c", b"last")]
    assert places == sorted(places)


async def test_more_pipelined_requests_than_wait(server: HttpServer) -> None:
    answer = await talk(server, b"GET /a HTTP/1.1\r\n\r\n" * 100 + CLOSE)
    assert answer.count(b"HTTP/1.1 200 OK") == 101


async def test_chunked_bodies_and_split_packets(server: HttpServer) -> None:
    answer = await talk(
        server,
        b"POST /p%20q?x=1 HTTP/1.1\r\nX-Say: hel",
        b"lo\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n",
        b"2\r\nde\r\n0\r\n\r\n",
    )
    assert b"X-Seen: hello" in answer
    assert answer.endswith(b"POST /p q?x=1 abcde")


async def test_expect_continue(server: HttpServer) -> None:
    answer = await talk(
        server,
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n",
        b"Connection: close\r\n\r\n",
        b"ok",
    )
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"A B C\r\n\r\n"]
)
async def test_nonsense_is_a_bad_request(server: HttpServer, nonsense: bytes) -> None:
    assert (await talk(server, nonsense)).startswith(b"HTTP/1.1 400")


async def test_bodies_have_a_limit(server: HttpServer) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1)
    answer = await talk(server, head + b"x" * (MAX_BODY_BYTES + 1))
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_failing_handler_is_a_500_and_the_connection_lives(server: HttpServer) -> None:
    answer = await talk(server, b"GET /boom HTTP/1.1\r\n\r\n" + CLOSE)
    assert answer.startswith(b"HTTP/1.1 500")
    assert answer.endswith(b"GET /last? ")


async def test_broken_connections_say_nothing(server: HttpServer) -> None:
    assert await talk(server, b"GET /gone HTTP/1.1\r\n\r\n") == b""


async def test_closing_lets_what_is_served_finish() -> None:
    server = await HttpServer.listen(echo, "127.0.0.1", 0)
    asking = asyncio.create_task(talk(server, b"GET /slow HTTP/1.1\r\n\r\n"))
    await asyncio.sleep(0.05)
    await server.close()
    assert b"GET /slow" in await asking
