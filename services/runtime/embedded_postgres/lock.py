"""A lock between processes that nobody can leave behind: the kernel drops it with its holder."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from services.runtime.startup import StartupError

_POLL_SECONDS: Final = 0.05


class ProcessLock:
    """An exclusive lock on a file that is made when missing and stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let the next one have it."""
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None

    @asynccontextmanager
    async def held(self, *, patience: timedelta, refusal: str) -> AsyncIterator[None]:
        """Hold the lock for the block; who waits longer than `patience` is refused."""
        deadline = asyncio.get_running_loop().time() + patience.total_seconds()
        while not self.try_acquire():
            if asyncio.get_running_loop().time() > deadline:
                raise StartupError(refusal)
            await asyncio.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self.release()
