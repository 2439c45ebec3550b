"""A proxy before PostgreSQL that cuts the wire inside COMMIT, in each way a network can."""

import asyncio
import random
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, Self

_COMMIT: Final = b"commit\x00"


class Cut(Enum):
    """Where the wire breaks."""

    BEFORE = "COMMIT never reaches the server"
    DURING = "COMMIT is sent and both ends are cut at once"
    AFTER = "the server commits and its reply is lost"


class CuttingProxy:
    """Listens where a client looks for a server; cuts the next COMMITs it is told to."""

    def __init__(self, server_socket: Path, folder: Path, *, seed: int) -> None:
        self._server_socket = server_socket
        self.socket = folder / server_socket.name
        self._random = random.Random(seed)
        self._cuts_left = 0
        self.cuts_made: list[Cut] = []
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, str(self.socket))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def cut_next(self) -> None:
        """Cut the next COMMIT that comes by, in a way drawn by the seed."""
        self._cuts_left += 1

    async def _serve(self, client: asyncio.StreamReader, reply: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            server, to_server = await asyncio.open_unix_connection(str(self._server_socket))
        except OSError:
            # Where nobody listens behind it, nobody answers before it either.
            reply.transport.abort()
            return
        answers = asyncio.create_task(_pump(server, reply))
        self._pipes.add(answers)
        with suppress(OSError):
            while data := await client.read(65536):
                if _COMMIT in data and self._cuts_left:
                    await self._cut(data, to_server, answers)
                    break
                to_server.write(data)
                await to_server.drain()
        answers.cancel()
        reply.transport.abort()
        to_server.transport.abort()

    async def _cut(
        self, data: bytes, to_server: asyncio.StreamWriter, answers: "asyncio.Task[None]"
    ) -> None:
        self._cuts_left -= 1
        cut = self._random.choice(list(Cut))
        self.cuts_made.append(cut)
        if cut is Cut.BEFORE:
            return
        if cut is Cut.AFTER:
            answers.cancel()
        to_server.write(data)
        await to_server.drain()
        if cut is Cut.AFTER:
            # Long enough for the server to commit; whoever looks earlier must wait for it anyway.
            await asyncio.sleep(0.02)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except OSError:
        return
    finally:
        # However the one end went, the other must not wait for it.
        target.transport.abort()
