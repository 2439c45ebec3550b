"""The generator of HTTP requests: what it sends arrives whole, what is wrong ends the run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.http.generator import connected, request


@asynccontextmanager
async def _server(answer: list[bytes], heard: list[bytes]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0] or 0)
            heard.append(head + await reader.readexactly(length))
            for piece in answer:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            if not answer:
                return

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            return  # Whoever asked has heard enough.
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}"


async def test_an_answer_in_pieces_is_read_whole_and_the_connection_serves_again() -> None:
    pieces = [b"HTTP/1.1 201 Created\r\ncontent-le", b"ngth: 4\r\n\r\n", b"pa", b"id"]
    heard: list[bytes] = []
    order = request("POST", "/pay", b"{}", {"Idempotency-Key": "k"})
    async with _server(pieces, heard) as url, connected(url, 1) as connections:
        answers = await asyncio.gather(*(connections.answered(order, 201) for _ in range(3)))
    assert answers == [b"".join(pieces)] * 3
    assert heard == [order] * 3
    assert b"Idempotency-Key: k\r\n" in order
    assert order.endswith(b"\r\n\r\n{}")


async def test_another_status_than_expected_ends_the_measurement() -> None:
    refusal = [b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"]
    async with _server(refusal, []) as url, connected(url, 1) as connections:
        with pytest.raises(SystemExit, match="busy"):
            await connections.answered(request("GET", "/"), 201)


async def test_a_server_that_hangs_up_ends_the_measurement() -> None:
    async with _server([], []) as url, connected(url, 1) as connections:
        with pytest.raises(ConnectionError):
            await connections.answered(request("GET", "/"), 200)
