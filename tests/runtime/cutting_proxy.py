"""A proxy before PostgreSQL that cuts the wire, or holds it dead, where a test wants it to."""

import asyncio
import random
import re
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, Self

# A message of its own that begins so: a statement may well speak of commits elsewhere.
COMMIT: Final = re.compile(rb"Q....commit(\x00|; select)", re.DOTALL)


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
        self._cut_before: dict[re.Pattern[bytes], int] = {}
        self._silence_after: re.Pattern[bytes] | None = None
        self._silenced: set[asyncio.StreamWriter] = set()
        self.is_silent = asyncio.Event()
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

    def cut_before(self, words: re.Pattern[bytes], times: int) -> None:
        """Cut the connections on which the words come by, so many of them."""
        self._cut_before[words] = times

    def cuts_left_before(self, words: re.Pattern[bytes]) -> int:
        """How many of those cuts have not been made."""
        return self._cut_before[words]

    def fall_silent_after(self, words: re.Pattern[bytes]) -> None:
        """Pass the words on, then nothing either way; both ends believe that the other lives."""
        self._silence_after = words

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
        answers = asyncio.create_task(self._pump(server, reply))
        self._pipes.add(answers)
        try:
            # asyncio takes a cancelled handler for one that failed, and says so.
            with suppress(OSError, asyncio.CancelledError):
                await self._pass_on(client, reply, to_server, answers)
        finally:
            answers.cancel()
            reply.transport.abort()
            to_server.transport.abort()

    async def _pass_on(
        self,
        client: asyncio.StreamReader,
        reply: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
        answers: "asyncio.Task[None]",
    ) -> None:
        while data := await client.read(65536):
            if self._cuts_left and COMMIT.search(data):
                await self._cut(data, to_server, answers)
                return
            for words, left in self._cut_before.items():
                if left and words.search(data):
                    self._cut_before[words] -= 1
                    return
            is_last = self._silence_after is not None and self._silence_after.search(data)
            if is_last:
                self._silence_after = None
                self._silenced.add(reply)
            to_server.write(data)
            await to_server.drain()
            if is_last:
                self.is_silent.set()
                await asyncio.Event().wait()

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

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if target not in self._silenced:
                    target.write(data)
                    await target.drain()
        except OSError:
            return
        finally:
            # However the one end went, the other must not wait for it.
            if target not in self._silenced:
                target.transport.abort()
